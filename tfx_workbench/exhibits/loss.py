"""Loss: of every training step, and dashed on data that the model never trains on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.by_step import (
    NO_RUN,
    OVER,
    about,
    curve_of,
    define,
    first_step_s,
    in_drawing_order,
    is_crowd,
    legend_of,
    series_of,
    why_missing,
    x_axis,
)
from tfx_workbench.exhibits.exhibit import Axis, Curve, Exhibit, Layer, LegendEntry, Plot
from tfx_workbench.exhibits.format import number
from tfx_workbench.exhibits.kind import Choices, ExhibitType
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, say
from tfx_workbench.runs.series import Series

_TITLE = tr_mark("Loss")
_HELD_OUT = tr_mark("held-out")


def loss(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """Curves of the training and the held-out loss."""
    found = [(run, series_of(run, "loss", choices, len(runs))) for run in in_drawing_order(runs)]
    found = [(run, series) for run, series in found if len(series)]
    definitions = define("loss", "held_out_loss")
    if not found:
        empty = why_missing(runs, "loss", say(tr_mark("No step was run."))) if runs else NO_RUN
        return Exhibit("loss", say(_TITLE), empty=empty, definitions=definitions)
    x, x_size = x_axis(runs, [series for _, series in found], choices)
    layers: list[Layer] = []
    for run, series in found:
        layers.append(curve_of(run, series, x_size=x_size, gaps=True, among=len(runs)))
        held_out = _held_out(run, choices, x_size)
        if len(held_out.x) and (run.focus or not is_crowd(len(runs))):
            layers.append(held_out)
    dashed = [LegendEntry(say(_HELD_OUT), "muted", "dashed")] if any(run.data.evaluations for run in runs) else []
    return Exhibit(
        "loss", say(_TITLE), sentence=_sentence(runs, {id(run): series for run, series in found}),
        plots=(Plot("loss", x, Axis("", "nats"), tuple(layers)),), legend=(*legend_of(runs), *dashed),
        notes=tuple(_not_a_number(run) for run, series in found if np.isnan(series.mean).any()),
        definitions=definitions,
    )


def _held_out(run: RunView, choices: Choices, x_size: float) -> Curve:
    rows = [e for e in run.data.evaluations if e.held_out_loss is not None]
    over_time = choices.get("over") == "time"
    x = np.array([e.t_ms / 1000 if over_time else e.step for e in rows], dtype=np.float64)
    if over_time:
        x = np.maximum(x - first_step_s(run), 0.0) / x_size
    return Curve(
        f"held-out {run.data.path}", say(tr_mark("{run}, held-out"), run=run.label), x,
        np.array([e.held_out_loss for e in rows], dtype=np.float64), run.colour_name, style="dashed",
        points=len(rows) < 40,
    )


def _sentence(runs: Sequence[RunView], series: dict[int, Series]) -> Text | str:
    run = focused(runs)
    if run is None or id(run) not in series:
        return ""
    held_out = [e.held_out_loss for e in run.data.evaluations if e.held_out_loss is not None]
    last = run.data.steps.last_loss
    return about(
        run, runs, say(tr_mark("training {loss}"), loss=number(float("nan") if last is None else last)),
        say(tr_mark("held-out {loss} nats"), loss=number(held_out[-1])) if held_out else "",
    )


def _not_a_number(run: RunView) -> Text:
    by_step = series_of(run, "loss", {})
    first = float(by_step.x[np.isnan(by_step.mean)][0])
    return say(tr_mark("{run}: the loss is not a number at step {step}"), run=run.label, step=f"{first:,.0f}")


EXHIBIT = ExhibitType(
    name="loss", title=_TITLE, function=loss, order=30, shortcut="Ctrl+3",
    needs=frozenset({"info", "steps", "evaluations"}), choices=(OVER,),
)
