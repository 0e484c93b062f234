"""Roofline: how much each component computes for each byte it moves, and how near it comes to what the device can do.

A component under the slope waits for memory, one under the flat roof for the processors; one far below both spends its
time on starting small operators. The ceilings are those measured on this device, not a maker's.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import msgspec
import numpy as np

from tfx_engine.protocol.ceilings import Ceilings
from tfx_engine.protocol.components import COMPONENTS
from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.by_step import NO_RUN, about
from tfx_workbench.exhibits.exhibit import (
    Axis,
    Column,
    Curve,
    Definition,
    Exhibit,
    Layer,
    LegendEntry,
    Line,
    Marker,
    Plot,
    Table,
)
from tfx_workbench.exhibits.format import duration, number, percent, rate_scale
from tfx_workbench.exhibits.kind import Choices, ExhibitType
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, Words, join, say
from tfx_workbench.exhibits.time import why_not_profiled

_TITLE = tr_mark("Roofline")
_NAMED = 4  # components with their name in the plot, those that take the most time
_DRAWN_SHARE = 0.005  # of the time, that a component has at least in the plot; the table has them all
_DRAWN_DEPTH = 1e-4  # of the peak; what hardly computes would only push all else together
_FAR = 0.2  # of a component's time: where no ceiling explains more, none of them is what holds it back
_COMPUTE, _MEMORY, _LAUNCH, _NONE = "compute", "memory", "launch", "none"
_BOUND = {
    _COMPUTE: tr_mark("compute-bound"), _MEMORY: tr_mark("memory-bound"), _LAUNCH: tr_mark("launch-bound"),
    _NONE: tr_mark("far below every ceiling"),
}
_NO_CEILINGS = tr_mark("The speed of this device was not measured in this run.")
_DEFINITIONS = (
    Definition(say(tr_mark("intensity")), say(tr_mark(
        "Operations for each byte: FLOPs of matrix products and attention, and one operation for each number that "
        "other operators write, over the bytes that all of them read and write once."))),
    Definition(say(tr_mark("roof")), say(tr_mark(
        "The lower of what matrix products in the run's format reach on this device and of intensity × the bandwidth "
        "of a large copy. Where caches serve a component its point may stand above the slope."))),
    Definition(say(_BOUND[_COMPUTE]), say(tr_mark(
        "Its operations at the device's peak explain more of its time than its bytes or starting operators do, and a "
        "fifth of it at least; how much is in the table."))),
    Definition(say(_BOUND[_MEMORY]), say(tr_mark(
        "Its bytes at the device's bandwidth explain more of its time than its operations or starting operators do, "
        "and a fifth of it at least; how much is in the table."))),
    Definition(say(_BOUND[_LAUNCH]), say(tr_mark(
        "Starting its operators, one after the other, explains more of its time than its operations or its bytes do, "
        "and a fifth of it at least: they are too small. How much is in the table."))),
    Definition(say(_BOUND[_NONE]), say(tr_mark(
        "Neither operations, nor bytes, nor starting operators explain a fifth of its time."))),
    Definition(say(tr_mark("explained")), say(tr_mark(
        "The share of the time that what it is bound by would take alone at the device's ceiling; more than 100 % "
        "where caches are faster than memory, and where a card has to wait for the host that starts its operators, "
        "which is device idle. The rest is lost on something else."))),
)


@dataclasses.dataclass(frozen=True)
class _Point:
    """One component over all parts of the step, per step."""

    name: str
    ms: float
    operations: float
    bytes: float
    calls: float

    @property
    def intensity(self) -> float:
        return self.operations / self.bytes

    @property
    def per_s(self) -> float:
        """Operations per second that it reached."""
        return 1000.0 * self.operations / self.ms


@dataclasses.dataclass(frozen=True)
class _Roof:
    """What the device can do at most. `start_us`: what starting one operator costs the host."""

    format: str
    per_s: float
    bytes_per_s: float
    start_us: float

    def at(self, intensity: float) -> float:
        """Operations per second."""
        return min(self.per_s, intensity * self.bytes_per_s)

    def bound(self, point: _Point) -> str:
        """What explains more of a component's time than anything else does."""
        return self.explained(point)[0]

    def explained(self, point: _Point) -> tuple[str, float]:
        """(what explains more of a component's time than anything else, the share that it explains)."""
        explained = {
            _COMPUTE: 1000.0 * point.operations / self.per_s, _MEMORY: 1000.0 * point.bytes / self.bytes_per_s,
            _LAUNCH: point.calls * self.start_us / 1000.0,
        }
        most = max(explained, key=lambda name: explained[name])
        share = explained[most] / point.ms
        return most if share >= _FAR else _NONE, share


def roofline(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """The components of the run in focus under the ceilings of its device."""
    run = focused(runs)
    if run is None:
        return Exhibit("roofline", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    roof, points = _roof_of(run), _points_of(run)
    if not points or roof is None:
        why = why_not_profiled(run) if not points else say(run.data.missing.get("mfu") or _NO_CEILINGS)
        return Exhibit("roofline", say(_TITLE), empty=why, definitions=_DEFINITIONS)
    return Exhibit(
        "roofline", say(_TITLE), sentence=_sentence(run, runs, roof, points), definitions=_DEFINITIONS,
        plots=(_plot(run, roof, points),), tables=(_table(roof, points),), notes=_notes(roof),
        legend=tuple(LegendEntry(_title(p), f"component:{p.name}", "area") for p in _drawn(roof, points)),
    )


def _roof_of(run: RunView) -> _Roof | None:
    peak, facts = run.data.facts.get("peak_flops_per_s"), run.data.facts.get("ceilings")
    if not peak or not facts or not peak.get("measured"):
        return None
    try:
        ceilings = msgspec.convert(facts, Ceilings)
    except msgspec.ValidationError:  # of a later version
        return None
    start_us = ceilings.dispatch_us or ceilings.launch_us
    return _Roof(str(peak.get("format")), float(peak["measured"]), ceilings.bandwidth.per_s, start_us)


def _points_of(run: RunView) -> list[_Point]:
    """What computes and moves something, the slowest first."""
    found: dict[str, _Point] = {}
    for row in run.data.profile_parts:
        before = found.get(row.component, _Point(row.component, 0.0, 0.0, 0.0, 0.0))
        found[row.component] = _Point(
            row.component, before.ms + row.ms, before.operations + row.flops + row.elements, before.bytes + row.bytes,
            before.calls + row.calls,
        )
    points = [p for p in found.values() if p.ms > 0 and p.operations > 0 and p.bytes > 0
              and all(0 < v < math.inf for v in (p.ms, p.intensity, p.per_s))]
    return sorted(points, key=lambda p: -p.ms)


def _plot(run: RunView, roof: _Roof, points: list[_Point]) -> Plot:
    ridge, drawn = roof.per_s / roof.bytes_per_s, _drawn(roof, points)
    low = min([0.1, *(p.intensity for p in drawn)]) / 2
    high = max([10 * ridge, *(5 * p.intensity for p in drawn)])
    scale = rate_scale(roof.per_s, "FLOP/s")
    # x holds logarithms: a plot has one scale for all that is drawn over it.
    x = np.log10(np.array([low, ridge, high]))
    roofs = np.array([roof.at(v) for v in (low, ridge, high)]) / scale.size
    layers: list[Layer] = [Curve("roof", say(tr_mark("roof")), x, roofs, "text")]
    vendor = (run.data.facts.get("peak_flops_per_s") or {}).get("vendor")
    if vendor:
        layers.append(Line("vendor", vendor / scale.size, say(tr_mark("published"))))
    for rank, point in enumerate(drawn):
        across, up, colour = math.log10(point.intensity), point.per_s / scale.size, f"component:{point.name}"
        if rank < _NAMED:
            layers.append(Marker(point.name, across, up, _title(point), colour))
        else:
            layers.append(Curve(f"point {point.name}", _title(point), np.array([across]), np.array([up]), colour,
                                points=True, line=False))
    ticks = tuple((float(e), _power(e)) for e in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1))
    lowest = min([float(roofs.min()), *(p.per_s / scale.size for p in drawn)]) / 2
    intensities = Axis(say(tr_mark("operations per byte")), "FLOP/B", low=float(x[0]), high=float(x[-1]), ticks=ticks)
    upwards = Axis("", scale.unit, log=True, low=lowest, high=float(roofs.max()) * 2)
    return Plot("roofline", intensities, upwards, tuple(layers))


def _drawn(roof: _Roof, points: list[_Point]) -> list[_Point]:
    whole = sum(point.ms for point in points)
    return [p for p in points if p.ms >= _DRAWN_SHARE * whole and p.per_s >= _DRAWN_DEPTH * roof.per_s]


def _power(exponent: int) -> str:
    return f"{10.0**exponent:,g}"


def _title(point: _Point) -> Text:
    return say(COMPONENTS.get(point.name, point.name))


def _table(roof: _Roof, points: list[_Point]) -> Table:
    columns = (
        Column(say(tr_mark("component")), number=False), Column(say(tr_mark("time"))), Column(say(tr_mark("FLOP/B"))),
        Column(say(tr_mark("reached"))), Column(say(tr_mark("of the roof"))),
        Column(say(tr_mark("bound")), number=False), Column(say(tr_mark("explained"))),
    )
    rows: list[tuple[Words, ...]] = []
    for point in points:
        reached = rate_scale(point.per_s, "FLOP/s").text(point.per_s)
        share = percent(100 * point.per_s / roof.at(point.intensity), 2)
        bound, explained = roof.explained(point)
        rows.append((_title(point), duration(point.ms), number(point.intensity, 3), reached, share, say(_BOUND[bound]),
                     percent(100 * explained, 2)))
    return Table("components", columns, tuple(rows))


def _sentence(run: RunView, runs: Sequence[RunView], roof: _Roof, points: list[_Point]) -> Text:
    """The share of the time that each kind of bound has, and what the slowest component is bound by."""
    whole = sum(point.ms for point in points)
    shares = {kind: sum(p.ms for p in points if roof.bound(p) == kind) / whole for kind in _BOUND}
    said: list[Words] = [
        say(tr_mark("{share} of the time {bound}"), share=percent(100 * share, 2), bound=say(_BOUND[kind]))
        for kind, share in sorted(shares.items(), key=lambda item: -item[1]) if share >= 0.005
    ]
    bound, explained = roof.explained(points[0])
    words = tr_mark("{name} is {bound}, at most {share} of its time explained") if bound == _NONE else tr_mark(
        "{name} is {bound}, {share} of its time explained")
    first = say(words, name=_title(points[0]), bound=say(_BOUND[bound]), share=percent(100 * explained, 2))
    return about(run, runs, first, join(said, ", "))


def _notes(roof: _Roof) -> tuple[Words, ...]:
    return (say(
        tr_mark("measured here: {peak} in {format}, {bandwidth} of memory, {start} µs to start an operator"),
        peak=rate_scale(roof.per_s, "FLOP/s").text(roof.per_s), format=roof.format,
        bandwidth=rate_scale(roof.bytes_per_s, "B/s").text(roof.bytes_per_s), start=number(roof.start_us, 2),
    ),)


EXHIBIT = ExhibitType(
    name="roofline", title=_TITLE, function=roofline, order=73, needs=frozenset({"info", "profile"}), at_end=True,
    paper="one",
)
