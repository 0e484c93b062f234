"""Gradient norms: by layer and step, over the whole model, by layer compared between runs, and the update ratio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.by_step import (
    NO_RUN,
    about,
    curve_of,
    define,
    in_drawing_order,
    legend_of,
    series_of,
    why_missing,
    x_axis,
)
from tfx_workbench.exhibits.exhibit import Axis, Exhibit, Plot
from tfx_workbench.exhibits.format import number
from tfx_workbench.exhibits.kind import Choice, Choices, ExhibitType
from tfx_workbench.exhibits.layers import (
    heat_map,
    layer_names,
    layer_ticks,
    names_of,
    profile,
    profile_sentence,
)
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, say
from tfx_workbench.runs.series import Series

_TITLE = tr_mark("Gradient norms")
_NONE = say(tr_mark("No gradient was measured."))
_VIEW = Choice("view", tr_mark("what is shown"), (
    ("layers", tr_mark("layer × step")), ("global", tr_mark("whole model")),
    ("profile", tr_mark("by layer, compared")), ("updates", tr_mark("update ratio")),
))


def gradients(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """The chosen view of the gradients."""
    if not runs:
        return Exhibit("gradients", say(_TITLE), empty=NO_RUN, definitions=define("grad_norm", "layer_grad_norm"))
    match choices.get("view"):
        case "global":
            return _curves(runs, choices, "grad_norm")
        case "updates":
            return _curves(runs, choices, "update_ratio")
        case "profile":
            return _profiles(runs)
        case _:
            return _by_layer(runs)


def _nothing(runs: Sequence[RunView], column: str) -> Exhibit:
    return Exhibit("gradients", say(_TITLE), empty=why_missing(runs, column, _NONE), definitions=define(column))


def _curves(runs: Sequence[RunView], choices: Choices, column: str) -> Exhibit:
    found = [(run, series_of(run, column, choices, len(runs))) for run in in_drawing_order(runs)]
    found = [(run, series) for run, series in found if np.any(np.isfinite(series.mean))]
    if not found:
        return _nothing(runs, column)
    x, x_size = x_axis(runs, [series for _, series in found], choices)
    layers = tuple(curve_of(run, series, x_size=x_size, among=len(runs)) for run, series in found)
    run, newest = next(((r, s) for r, s in found if r is focused(runs)), found[-1])
    return Exhibit(
        "gradients", say(_TITLE), sentence=_newest(run, runs, column, newest), legend=legend_of(runs),
        plots=(Plot(column, x, Axis(say(tr_mark("log scale")), log=True), layers),), definitions=define(column),
    )


def _newest(run: RunView, runs: Sequence[RunView], column: str, series: Series) -> Text:
    known = np.flatnonzero(np.isfinite(series.mean))[-1]
    at = {"value": number(float(series.mean[known]), 3), "step": f"{series.x[known]:,.0f}"}
    if column == "grad_norm":
        return about(run, runs, say(tr_mark("L2 norm {value} at step {step}"), **at))
    return about(run, runs, say(tr_mark("|update| / |weight| {value} at step {step}"), **at))


def _by_layer(runs: Sequence[RunView]) -> Exhibit:
    run = focused(runs)
    assert run is not None
    steps, values = run.data.layers("layer_grad_norm")
    if not len(steps) or not np.any(np.isfinite(values)):
        return _nothing([run], "layer_grad_norm")
    names = layer_names(run, values.shape[1])
    heat = heat_map(steps, values, names, say(tr_mark("gradient norm, log scale")))
    x = Axis(say(tr_mark("step")), whole=True)
    y = Axis(say(tr_mark("layer")), ticks=layer_ticks(names))
    step, layer = np.unravel_index(int(np.nanargmax(values)), values.shape)
    largest = say(
        tr_mark("largest {value}: {layer}, step {step}"),
        value=number(float(values[step, layer]), 3), layer=names[layer], step=f"{steps[step]:,}",
    )
    return Exhibit(
        "gradients", say(_TITLE), sentence=about(run, runs, largest), definitions=define("layer_grad_norm"),
        plots=(Plot("layers", x, y, (heat,)),),
    )


def _profiles(runs: Sequence[RunView]) -> Exhibit:
    names = max((names_of(run) for run in runs), key=len)
    found = [(run, profile(run, names)) for run in in_drawing_order(runs)]
    found = [(run, curve) for run, curve in found if np.isfinite(curve.y).any()]
    if not found:
        return _nothing(runs, "layer_grad_norm")
    x = Axis(say(tr_mark("layer")), ticks=layer_ticks(names), low=-0.2, high=len(names) - 0.8)
    y = Axis(say(tr_mark("median over the steps, log scale")), log=True)
    run, chosen = next(((r, c) for r, c in found if r is focused(runs)), found[-1])
    return Exhibit(
        "gradients", say(_TITLE), sentence=about(run, runs, profile_sentence(chosen, names)),
        plots=(Plot("profile", x, y, tuple(curve for _, curve in found)),), legend=legend_of(runs),
        definitions=define("layer_grad_norm"),
    )


EXHIBIT = ExhibitType(
    name="gradients", title=_TITLE, function=gradients, order=40, shortcut="Ctrl+4",
    needs=frozenset({"info", "steps"}), choices=(_VIEW,), paper="one",
)
