"""One option over its values: throughput, memory and loss, each against what the option was set to."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.ablation_results import Configuration, Results
from tfx_workbench.exhibits.exhibit import Axis, Curve, Exhibit, Marker, Plot
from tfx_workbench.exhibits.format import Scale, byte_scale, count_scale
from tfx_workbench.exhibits.text import say

FEWEST = 3  # values that make a curve
_FIGURES = (
    ("speed", tr_mark("throughput"), "tokens_per_s", "median"),
    ("memory", tr_mark("peak memory"), "memory_bytes", "peak"),
    ("loss", tr_mark("loss"), "loss", "final"),
)
_RATIO = 8.0  # of the largest value to the smallest, from which the axis counts in doublings


def sweep(results: Results, colours: Mapping[int, str]) -> Exhibit | None:
    """The option with the most values; None where none has three."""
    factor = max(results.factors, key=lambda f: len(_along(results, f)), default="")
    along = _along(results, factor) if factor else []
    if len(along) < FEWEST:
        return None
    title = factor.rpartition(".")[2].replace("_", " ") if "." in factor else factor
    values = np.array([value for value, _ in along])
    is_log = values.min() > 0 and values.max() / values.min() >= _RATIO
    places = np.log2(values) if is_log else values
    ticks = tuple((float(place), f"{value:g}") for place, value in zip(places, values, strict=True))
    x = Axis(title, ticks=ticks)
    made = (_plot(figure, x, places, [c for _, c in along], colours) for figure in _FIGURES)
    plots = [plot for plot in made if plot is not None]
    if not plots:
        return None
    sentence = say(tr_mark("{option} from {low} to {high}"), option=title, low=f"{values[0]:g}", high=f"{values[-1]:g}")
    return Exhibit("ablation_table", say(tr_mark("Ablation")), sentence=sentence, plots=tuple(plots))


def _along(results: Results, factor: str) -> list[tuple[float, Configuration]]:
    """The measured configurations that differ from the first in this factor alone, by its value."""
    base, device = results.configurations[0].levels, results.configurations[0].device
    found = []
    for configuration in results.configurations:
        others = {k: v for k, v in configuration.levels.items() if k != factor}
        value = _number(configuration.levels.get(factor, ""))
        alike = configuration.device == device
        if alike and configuration.ended and math.isfinite(value) and all(base.get(k) == v for k, v in others.items()):
            found.append((value, configuration))
    return sorted(found, key=lambda pair: pair[0])


def _number(text: str) -> float:
    """The number that a level is, in words such as "64 tokens" too; NaN where it is none."""
    try:
        return float(text.split(" ")[0])
    except ValueError:
        return math.nan


def _plot(
    figure: tuple[str, str, str, str], x: Axis, places: np.ndarray, along: Sequence[Configuration],
    colours: Mapping[int, str],
) -> Plot | None:
    """Over several seeds the mean; the band is the widest interval of a run where it has one, and the seeds' range."""
    key, title, table, name = figure
    points = [[run.summary()[table][name] for run in c.ended] for c in along]
    kept = [i for i, values in enumerate(points) if values and None not in values]
    if len(kept) < FEWEST:
        return None
    means = np.array([float(np.mean(points[i])) for i in kept])
    low, high = (np.array([_bound(along[i], table, points[i], side) for i in kept]) for side in ("low", "high"))
    scale = {"speed": count_scale(float(means.max()), "tokens/s"), "memory": byte_scale(float(means.max())),
             "loss": Scale("nats", 1.0)}[key]
    at = places[kept]
    line = Curve(f"{key} line", say(title), at, means / scale.size, "muted", low / scale.size, high / scale.size)
    dots = [
        Marker(f"{key} {i}", float(place), float(mean / scale.size), "", colours.get(id(along[i].runs[0]), "accent"),
               name=along[i].runs[0].info.name)
        for i, place, mean in zip(kept, at, means, strict=True)
    ]
    return Plot(key, x, Axis(say(title), scale.unit), (line, *dots))


def _bound(configuration: Configuration, table: str, values: Sequence[float], side: str) -> float:
    ends = [run.summary()[table].get(side) for run in configuration.ended] if table == "tokens_per_s" else []
    known = [float(end) for end in ends if end is not None]
    pick = min if side == "low" else max
    return pick([*map(float, values), *known])
