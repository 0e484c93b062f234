"""Quantities by layer: the heat map over the steps, the profile of a run, and the names of the layers."""

from __future__ import annotations

import re

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.exhibit import Curve, HeatMap
from tfx_workbench.exhibits.format import number
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.exhibits.text import Text, Words, say

_COLUMNS = 600
_SHORTEST_PROFILE = 5  # steps; the first ones of a run are left out where there are more


def layer_names(run: RunView, count: int) -> tuple[str, ...]:
    """The names of the run's layers, or their numbers where it gives none."""
    names = run.data.facts.get("layer_names") or ()
    if len(names) == count:
        return tuple(str(n) for n in names)
    return tuple(str(i + 1) for i in range(count))


def layer_ticks(names: tuple[str, ...]) -> tuple[tuple[float, str], ...]:
    """Ticks with names that are short: the number of a block, the first word of anything else."""
    return tuple((float(i), _short(name)) for i, name in enumerate(names))


def _short(name: str) -> str:
    block = re.fullmatch(r"\D*?block\D*(\d+)", name)
    return block[1] if block else re.split(r"[\s/_]", name)[0][:5]


def heat_map(steps: np.ndarray, values: np.ndarray, names: tuple[str, ...], label: Words) -> HeatMap:
    """`values` [n, layers] at ascending `steps` [n], spread evenly over the steps."""
    first, last = float(steps[0]), float(steps[-1])
    gap = (last - first) / (len(steps) - 1) if len(steps) > 1 else 1.0
    columns = min(_COLUMNS, max(1, round((last - first) / max(1.0, float(np.diff(steps).min(initial=gap)))) + 1))
    # A column shows the first steps that end at or after it: where steps were put together, they end with the group.
    at = np.clip(np.searchsorted(steps, np.linspace(first, last, columns)), 0, len(steps) - 1)
    return HeatMap(
        "layers", np.asarray(values, dtype=np.float32)[at].T, first - gap / 2, last + gap / 2, names, label, log=True,
    )


def names_of(run: RunView) -> tuple[str, ...]:
    """The names of all layers whose norm was measured."""
    _, values = run.data.layers("layer_grad_norm")
    return layer_names(run, values.shape[1] if values.ndim == 2 else 0)


def profile(run: RunView, names: tuple[str, ...]) -> Curve:
    """The median norm of every layer of a run, at the place that its name has in `names`; NaN where it has none."""
    steps, values = run.data.layers("layer_grad_norm")
    warm = int(run.data.info.config["run"]["warmup_steps"])
    measured = values[steps > warm] if np.count_nonzero(steps > warm) >= _SHORTEST_PROFILE else values
    y = np.full(len(names), np.nan)
    for layer, name in enumerate(names_of(run)):
        # A layer whose weights are all frozen has no norm: a gap, not a zero.
        norms = measured[:, layer]
        norms = norms[np.isfinite(norms) & (norms > 0)]
        if name in names and len(norms):
            y[names.index(name)] = np.median(norms)
    x = np.arange(len(names), dtype=np.float64)
    return Curve(f"profile {run.data.path}", run.label, x, y, run.colour_name, points=True)


def profile_sentence(curve: Curve, names: tuple[str, ...]) -> Text | str:
    """How the norm changes from the first to the last block."""
    blocks = [i for i, name in enumerate(names) if re.search(r"\d", name)]
    if len(blocks) < 2 or not np.isfinite(curve.y[[blocks[0], blocks[-1]]]).all():
        return ""
    first, last = blocks[0], blocks[-1]
    return say(
        tr_mark("{last} has {ratio} × the norm of {first}"), last=names[last], first=names[first],
        ratio=number(float(curve.y[last] / curve.y[first]), 3),
    )
