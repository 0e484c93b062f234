"""The device and the computer while a run goes on: what is used, how warm, at which power; what is missing, and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.by_step import (
    NO_RUN,
    WAITING,
    about,
    in_drawing_order,
    latest,
    legend_of,
    points_among,
)
from tfx_workbench.exhibits.exhibit import Axis, Curve, Definition, Exhibit, Plot
from tfx_workbench.exhibits.format import byte_scale, number, percent, size, with_unit
from tfx_workbench.exhibits.kind import Choice, Choices, ExhibitType
from tfx_workbench.exhibits.ranges import horizon
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, Words, join, say

_TITLE = tr_mark("Device")
_POINTS = 600


@dataclasses.dataclass(frozen=True)
class _Reading:
    """One reading: its column, its words, its unit ("bytes" is scaled) and the end of its axis where that is fixed."""

    column: str
    title: str
    unit: str
    definition: str
    high: float | None = None


_GPU = (
    _Reading("utilisation_percent", tr_mark("utilisation"), "%",
             tr_mark("Share of time in which the device ran at least one kernel, as the driver reports it."), 100.0),
    _Reading("memory_used_bytes", tr_mark("device memory"), "bytes",
             tr_mark("Bytes in use on the device, by all processes.")),
    _Reading("temperature_c", tr_mark("temperature"), "°C", tr_mark("Temperature of the device.")),
    _Reading("power_w", tr_mark("power"), "W", tr_mark("Power that the device draws.")),
    _Reading("sm_clock_mhz", tr_mark("clock"), "MHz", tr_mark("Clock of the device's processors.")),
)
_COMPUTER = (
    _Reading("cpu_percent", tr_mark("CPU"), "%",
             tr_mark("Share of all processor cores in use, by all processes."), 100.0),
    _Reading("others_percent", tr_mark("other programs"), "%",
             tr_mark("Share of all processor cores that programs took which are neither this run nor the workbench. "
                     "Steps that they disturbed are left out of the time statistics."), 100.0),
    _Reading("rss_bytes", tr_mark("process memory"), "bytes",
             tr_mark("Resident set size of the worker process.")),
    _Reading("ram_used_bytes", tr_mark("RAM in use"), "bytes",
             tr_mark("Memory of the computer in use, by all processes.")),
)
_SHOW = Choice("show", tr_mark("what is shown"), (
    ("device", tr_mark("the run's device")), ("computer", tr_mark("computer")), ("all", tr_mark("everything")),
))


def device(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """Small plots of everything that was read, over the seconds of each run."""
    definitions = tuple(Definition(say(r.title), say(r.definition)) for r in (*_GPU, *_COMPUTER))
    run = focused(runs)
    if run is None:
        return Exhibit("device", say(_TITLE), empty=NO_RUN, definitions=definitions)
    has_gpu = any(np.isfinite(r.data.device(g.column, 8).mean).any() for r in runs for g in _GPU)
    of_choice = {"computer": _COMPUTER, "all": (*_GPU, *_COMPUTER)}
    readings = of_choice.get(choices.get("show", ""), _GPU if has_gpu else _COMPUTER)
    plots = [plot for reading in readings if (plot := _plot(reading, runs)) is not None]
    if not plots:
        empty = WAITING if run.data.is_live else say(tr_mark("The device was not watched during this run."))
        return Exhibit("device", say(_TITLE), empty=empty, definitions=definitions)
    return Exhibit(
        "device", say(_TITLE), sentence=_sentence(run, runs), plots=tuple(plots), legend=legend_of(runs),
        notes=_missing(run), definitions=definitions,
    )


def _plot(reading: _Reading, runs: Sequence[RunView]) -> Plot | None:
    points = min(_POINTS, points_among(len(_GPU) * len(runs)))
    found = [(run, run.data.device(reading.column, points)) for run in in_drawing_order(runs)]
    found = [(run, series) for run, series in found if np.isfinite(series.mean).any()]
    if not found:
        return None
    largest = max(float(np.nanmax(series.high)) for _, series in found)
    scale = byte_scale(largest) if reading.unit == "bytes" else None
    factor, unit = (scale.size, scale.unit) if scale else (1.0, reading.unit)
    reached = max(float(series.x[-1]) for _, series in found)
    live = any(run.data.is_live for run, _ in found)
    x = Axis(say(tr_mark("time")), "s", low=0.0, high=max(horizon(reached, 0.0) if live else reached, 1e-3))
    y = Axis(say(reading.title), unit, low=0.0, high=max(reading.high, largest) if reading.high else None)
    curves = tuple(
        Curve(
            f"run {run.data.path}", run.label, series.x, series.mean / factor, run.colour_name,
            low=series.low / factor if series.steps_per_point > 1 else None,
            high=series.high / factor if series.steps_per_point > 1 else None, points=len(series) <= 30,
        )
        for run, series in found
    )
    return Plot(reading.column, x, y, curves)


def _sentence(run: RunView, runs: Sequence[RunView]) -> Text:
    def newest(column: str, write: Callable[[float], str]) -> str:
        value = latest(run.data.device(column, _POINTS))
        return write(value) if np.isfinite(value) else ""

    device = run.data.facts.get("device") or {}
    name: Words = str(device.get("name") or device.get("kind") or "") if isinstance(device, dict) else str(device)
    parts: list[Words] = [
        name, newest("temperature_c", lambda v: with_unit(number(v, 2), "°C")),
        newest("power_w", lambda v: with_unit(number(v, 3), "W")),
    ]
    cpu = newest("cpu_percent", lambda v: percent(v, 2))
    if cpu and not parts[1]:
        parts.append(say(tr_mark("CPU {percent}"), percent=cpu))
        parts.append(say(tr_mark("process {size}"), size=newest("rss_bytes", size)))
    return about(run, runs, *parts)


def _missing(run: RunView) -> tuple[Words, ...]:
    """Why readings of the device are not there; one sentence for those with the same reason."""
    reasons: dict[str, list[Words]] = {}
    for reading in _GPU:
        reason = run.data.missing.get(reading.column)
        if reason:
            reasons.setdefault(reason, []).append(say(reading.title))
    return tuple(
        say(tr_mark("{names} missing: {reason}"), names=join(names, ", "), reason=say(reason))
        for reason, names in reasons.items()
    )


EXHIBIT = ExhibitType(
    name="device", title=_TITLE, function=device, order=60, shortcut="Ctrl+6",
    needs=frozenset({"info", "device"}), choices=(_SHOW,),
)
