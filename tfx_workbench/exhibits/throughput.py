"""Throughput: tokens per second of every step, the median of those that count, and its 95 % interval.

Steps that do not count (warm-up, memory probes, the first after a pause) are dots beside the curve: nothing is hidden,
and nothing of it enters the median.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.status import ENDED
from tfx_workbench.exhibits.by_step import (
    NO_RUN,
    OVER,
    about,
    curve_of,
    define,
    in_drawing_order,
    is_crowd,
    legend_of,
    series_of,
    why_missing,
    x_axis,
)
from tfx_workbench.exhibits.exhibit import Axis, Curve, Definition, Exhibit, Layer, Line, Plot
from tfx_workbench.exhibits.format import Scale, count_scale, percent, rate_scale, spread
from tfx_workbench.exhibits.kind import Choices, ExhibitType
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, say
from tfx_workbench.runs.interval import Interval, median_interval
from tfx_workbench.runs.series import Series

if TYPE_CHECKING:
    from tfx_workbench.runs.rundata import RunData

_COLUMN = "tokens_per_s"
_TITLE = tr_mark("Throughput")
_MFU = Definition(say(tr_mark("MFU")), say(tr_mark(
    "Model FLOPs utilisation: model FLOPs / (step time x peak). Model FLOPs are those of the mathematics, attention "
    "over the full square, nothing computed again; the peak is what matrix products in the run's format reached on "
    "this device when it was measured.")))


def throughput(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """Curves of tokens/s with their medians."""
    found = [(run, series_of(run, _COLUMN, choices, len(runs))) for run in in_drawing_order(runs)]
    found = [(run, series) for run, series in found if np.any(np.isfinite(series.mean))]
    if not found:
        empty = why_missing(runs, _COLUMN, say(tr_mark("No step was timed."))) if runs else NO_RUN
        return Exhibit("throughput", say(_TITLE), empty=empty, definitions=define(_COLUMN, "step_ms"))
    scale = count_scale(max(float(np.nanmax(series.mean)) for _, series in found), "tokens/s")
    _catch_up_with_one(runs)
    x, x_size = x_axis(runs, [series for _, series in found], choices)
    layers: list[Layer] = []
    for run, series in found:
        layers += _layers(run, series, scale, x_size, len(runs))
    return Exhibit(
        "throughput", say(_TITLE), sentence=_sentence(runs), legend=legend_of(runs),
        plots=(Plot("throughput", x, Axis("", scale.unit), tuple(layers)),),
        definitions=(*define(_COLUMN, "step_ms"), _MFU), notes=_utilisation(runs),
    )


def _layers(run: RunView, series: Series, scale: Scale, x_size: float, among: int) -> list[Layer]:
    curve = curve_of(run, series, scale.size, x_size=x_size, among=among)
    layers: list[Layer] = [curve]
    if series.steps_per_point == 1 and series.phase_mask.any():
        known = np.isfinite(series.mean)
        counts = series.phase_mask[known]
        layers = [
            Curve(curve.key, run.label, curve.x[counts], curve.y[counts], curve.colour),
            Curve(
                curve.key + " left out", say(tr_mark("{run} (does not count)"), run=run.label), curve.x[~counts],
                curve.y[~counts], curve.colour, points=True, line=False, sets_range=False,
            ),
        ]
    if is_crowd(among) and not (run.focus or run.baseline):
        return layers
    median = _median(run)
    if math.isfinite(median.median):
        low, high = (v / scale.size if math.isfinite(v) else None for v in (median.low, median.high))
        layers.append(Line(curve.key + " median", median.median / scale.size, "", run.colour_name, low=low, high=high))
    return layers


def _median(run: RunView) -> Interval:
    """The median of a run with its interval; while the run is live, that of a moment ago is good enough."""
    known = _known.get(run.data)
    if known is not None and (run.data.is_live or known[0] == len(run.data.steps)):
        return known[1]
    return _work_out(run)


def _catch_up_with_one(runs: Sequence[RunView]) -> None:
    """Work out the median of the live run that has grown most since it was last done, if by 5 % or more.

    An interval takes milliseconds, and what is drawn comes thirty times a second: never more than one for a picture,
    however many runs are live and however fast they grow.
    """
    def growth(run: RunView) -> float:
        return len(run.data.steps) / max(1, _known[run.data][0])

    grown = [run for run in runs if run.data.is_live and run.data in _known and growth(run) >= 1.05]
    if grown:
        _work_out(max(grown, key=growth))


def _work_out(run: RunView) -> Interval:
    interval = median_interval(run.data.measured(_COLUMN))
    _known[run.data] = (len(run.data.steps), interval)
    return interval


def _utilisation(runs: Sequence[RunView]) -> tuple[Text, ...]:
    """MFU of the run in focus with its denominators, where the device's peak was measured."""
    run = focused(runs)
    facts = run.data.facts if run is not None else {}
    peak, flops = facts.get("peak_flops_per_s") or {}, (facts.get("flops_per_token") or {}).get("model")
    if run is None or not flops or not peak.get("measured"):
        return ()
    done = flops * _median(run).median
    if not done <= peak["measured"]:  # the run's figures say what is wrong then
        return ()
    said = say(
        tr_mark("MFU {mfu}: {done} of the {peak} that products in {format} reach here"), format=str(peak["format"]),
        mfu=percent(100 * done / peak["measured"]), done=rate_scale(done, "FLOP/s").text(done),
        peak=rate_scale(peak["measured"], "FLOP/s").text(peak["measured"]),
    )
    if not peak.get("vendor"):
        return (said,)
    published = say(tr_mark("{share} of the {vendor} that the maker publishes"), share=percent(
        100 * done / peak["vendor"]), vendor=rate_scale(peak["vendor"], "FLOP/s").text(peak["vendor"]))
    return (said, published)


_known: WeakKeyDictionary[RunData, tuple[int, Interval]] = WeakKeyDictionary()


def _sentence(runs: Sequence[RunView]) -> Text | str:
    run = focused(runs)
    if run is None:
        return ""
    median = _median(run)
    if math.isnan(median.median):
        has_ended = run.data.info.status in ENDED
        return about(run, runs, say(tr_mark("no measured step") if has_ended else tr_mark("no measured step yet")))
    said = say(
        tr_mark("median {rate} {spread}"), rate=count_scale(median.median, "tokens/s").text(median.median),
        spread=spread(median.median, median.low, median.high),
    )
    return about(run, runs, said, _left_out(run))


def _left_out(run: RunView) -> Text | str:
    series = run.data.series(_COLUMN, points=len(run.data.steps))
    count = run.data.steps.tainted
    if series.steps_per_point == 1:
        warm = int(run.data.info.config["run"]["warmup_steps"])
        count = int(np.count_nonzero(~series.phase_mask & (series.x > warm)))
    if not count:
        return ""
    return say(tr_mark("{count} steps left out") if count > 1 else tr_mark("1 step left out"), count=count)


EXHIBIT = ExhibitType(
    name="throughput", title=_TITLE, function=throughput, order=20, shortcut="Ctrl+2",
    needs=frozenset({"info", "steps"}), choices=(OVER,),
)
