"""Every run against the baseline: the difference, its interval, and the noise that two equal runs have here."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.comparable import why_not
from tfx_workbench.analysis.compare import is_control_of, series_effects
from tfx_workbench.analysis.statistics import UNKNOWN as NOT_COMPARED
from tfx_workbench.analysis.statistics import Effect, exact_effect
from tfx_workbench.exhibits.by_step import NO_RUN, WAITING, about, define
from tfx_workbench.exhibits.exhibit import (
    Axis,
    Bars,
    Column,
    Definition,
    Exhibit,
    Layer,
    LegendEntry,
    Line,
    Marker,
    Plot,
    Table,
)
from tfx_workbench.exhibits.format import UNKNOWN, interval, signed_percent
from tfx_workbench.exhibits.kind import Choices, ExhibitType
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, Words, say

_TITLE = tr_mark("Effects")
_SPEED, _MEMORY = tr_mark("throughput"), tr_mark("peak memory")
_LEAST = 1.0  # per cent that an axis shows at least: else noise would fill it
_ROOM = 0.55  # of what the bars take, for the words behind them
_ONE_RUN = say(tr_mark("Tick a second run: effects are differences to the baseline."))
ENDING_EARLY = Definition(say(tr_mark("ending early")), say(tr_mark(
    "A fair comparison ends once its intervals are as narrow as was asked for, and that happens rather while they "
    "are so by chance: made for 95 %, they held the truth in as few as 90 of 100 simulated comparisons. So they are "
    "looked at after whole rounds only, from the fifth on, and are from then on made for 97 %; then at least 95 of "
    "100 hold it.")))
_DEFINITIONS = (
    Definition(say(tr_mark("effect")), say(tr_mark(
        "Difference to the baseline in per cent. The bar is the 95 % interval, the point the difference itself. Of "
        "runs that took turns it comes from pairs of blocks, so that drift of the machine cancels; their later "
        "processes begin from the seed again and measure time alone: losses and memory are those of the first. Of runs "
        "one after the other it covers the scatter of their steps alone. All intervals hold at once, by one correction "
        "for as many comparisons as are said below."))),
    ENDING_EARLY,
    Definition(say(tr_mark("noise")), say(tr_mark(
        "By how much two equal runs may differ on this machine: from a second copy of the baseline that took its turns "
        "like the others, or from the last comparison here that had one. Less is not distinguishable."))),
    *define("tokens_per_s", "allocated_bytes"),
)


@dataclasses.dataclass(frozen=True)
class _Row:
    """One run that is compared."""

    view: RunView
    speed: Effect
    memory: Effect
    is_control: bool
    unlike: str  # why speed and memory are not compared; empty where they are


def effects(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """The shown runs against the one that is the baseline, else the first."""
    run = focused(runs)
    if run is None:
        return Exhibit("effects", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    baseline = next((view for view in runs if view.baseline), runs[0])
    others = [view for view in runs if view is not baseline]
    if not others or not len(baseline.data.steps):
        empty = _ONE_RUN if len(baseline.data.steps) else WAITING
        return Exhibit("effects", say(_TITLE), empty=empty, definitions=_DEFINITIONS)
    rows = _rows(baseline, others)
    plots = [plot for plot in (
        _plot("speed", _SPEED, [(row, row.speed) for row in rows]),
        _plot("memory", _MEMORY, [(row, row.memory) for row in rows if not row.is_control]),
    ) if plot is not None]
    if not plots:
        return Exhibit("effects", say(_TITLE), empty=WAITING, definitions=_DEFINITIONS)
    return Exhibit(
        "effects", say(_TITLE), sentence=about(run, runs, _sentence(rows, baseline)), plots=tuple(plots),
        tables=(_table(rows),), legend=_legend(rows), notes=_notes(rows), definitions=_DEFINITIONS,
    )


def _rows(baseline: RunView, others: Sequence[RunView]) -> list[_Row]:
    controls = [is_control_of(baseline.data, view.data) for view in others]
    speeds = series_effects(baseline.data, [view.data for view in others], "tokens_per_s")
    peak = _peak(baseline)
    unlike = [why_not(baseline.data, view.data, "peak_bytes") for view in others]
    return [
        _Row(view, speed, NOT_COMPARED if why else exact_effect(peak, _peak(view)), is_control, why)
        for view, speed, is_control, why in zip(others, speeds, controls, unlike, strict=True)
    ]


def _peak(view: RunView) -> float | None:
    memory = view.data.summary()["memory_bytes"]
    value = memory["peak"] if memory["peak"] is not None else memory["step_peak"]
    return None if value is None else float(value)


def _plot(key: str, title: str, found: Sequence[tuple[_Row, Effect]]) -> Plot | None:
    """From the top down: the noise behind, the interval, the difference, and behind the bar what it says."""
    rows = [(row, effect) for row, effect in found if math.isfinite(effect.percent)][::-1]
    if not rows:
        return None
    labels = tuple(row.view.label for row, _ in rows)
    low, high = (np.array([_ends(effect)[i] for _, effect in rows]) for i in (0, 1))
    noise = np.array([effect.noise_band or 0.0 for _, effect in rows])
    colours = tuple("muted" if row.is_control else row.view.colour_name for row, _ in rows)
    right = np.maximum(np.maximum(high, noise), 0.0)
    layers: list[Layer] = [
        *([Bars("noise", labels, -noise, noise, ("line",) * len(rows), label=say(tr_mark("noise")))]
          if noise.any() else []),
        Line("none", 0.0, upright=True, style="solid"),
        Bars("intervals", labels, low, high, colours, label=say(title)),
        Bars("words", labels, right, right, ("text",) * len(rows), tuple(_said(effect) for _, effect in rows)),
        *(Marker(f"at {i}", effect.percent, float(i), "", "text") for i, (_, effect) in enumerate(rows)),
    ]
    lowest, highest = min(float(min(low.min(), -noise.max())), -_LEAST), max(float(right.max()), _LEAST)
    x = Axis(say(title), "%", low=1.05 * lowest, high=highest + (highest - lowest) * _ROOM)
    y = Axis(low=-0.5, high=len(rows) - 0.5, ticks=tuple((float(i), label) for i, label in enumerate(labels)))
    return Plot(key, x, y, tuple(layers))


def _ends(effect: Effect) -> tuple[float, float]:
    """Where a bar begins and ends: the interval, or from nothing to a difference without one."""
    if math.isfinite(effect.low) and effect.low != effect.high:
        return effect.low, effect.high
    return min(0.0, effect.percent), max(0.0, effect.percent)


def _said(effect: Effect) -> Words:
    if effect.distinguishable is False and effect.percent:
        return say(tr_mark("{percent}, not distinguishable"), percent=signed_percent(effect.percent))
    return signed_percent(effect.percent)


def _table(rows: Sequence[_Row]) -> Table:
    columns = (Column(say(tr_mark("run")), number=False), Column(say(_SPEED)), Column(say(tr_mark("95 % interval"))),
               Column(say(_MEMORY)), Column("", number=False))
    return Table("effects", columns, tuple(
        (row.view.label, signed_percent(row.speed.percent) if math.isfinite(row.speed.percent) else UNKNOWN,
         interval(row.speed.low, row.speed.high, UNKNOWN),
         signed_percent(row.memory.percent) if math.isfinite(row.memory.percent) else UNKNOWN, _verdict(row))
        for row in rows
    ), colours=tuple("muted" if row.is_control else row.view.colour_name for row in rows))


def _verdict(row: _Row) -> Words:
    if row.is_control:
        return say(tr_mark("the baseline a second time: noise"))
    if row.unlike:
        return say(row.unlike)
    status = row.view.data.info.status
    if status not in ("finished", "running", "queued"):
        return say(tr_mark("{status}: what it has is compared"), status=status)
    if row.speed.distinguishable is None:
        return say(tr_mark("too few steps for an interval"))
    return say(tr_mark("speed distinguishable")) if row.speed.distinguishable else (
        say(tr_mark("speed not distinguishable")))


def _legend(rows: Sequence[_Row]) -> tuple[LegendEntry, ...]:
    entries = [LegendEntry(row.view.label, "muted" if row.is_control else row.view.colour_name, "area") for row in rows]
    if any(row.speed.noise_band for row in rows):
        entries.append(LegendEntry(say(tr_mark("noise of equal runs")), "line", "area"))
    return tuple(entries)


def _sentence(rows: Sequence[_Row], baseline: RunView) -> Text:
    judged = [row for row in rows if not row.is_control and row.speed.distinguishable is not None]
    clear = sum(row.speed.distinguishable is True for row in judged)
    return say(tr_mark("against {baseline}: the speed of {clear} of {count} differs beyond the noise"),
               baseline=baseline.label, clear=clear, count=len(judged))


def _notes(rows: Sequence[_Row]) -> tuple[Words, ...]:
    """How it was compared: each method once, the correction, and the noise."""
    notes: list[Words] = []
    for row in rows:
        method = row.speed.method
        if method is not None and not row.is_control:
            words = say(method.template, **method.args)
            if str(words) not in map(str, notes):
                notes.append(words)
    family = max((row.speed.family for row in rows if row.speed.corrected), default=0)
    if family:
        notes.append(say(tr_mark("the intervals of the {count} runs hold all at once (max-t bootstrap)"), count=family))
    band = next((row.speed.noise_band for row in rows if row.speed.noise_band), None)
    if band is not None:
        notes.append(say(tr_mark("equal runs differ by up to {band} here"), band=f"{band:.1f} %"))
    return tuple(notes)


EXHIBIT = ExhibitType(
    name="effects", title=_TITLE, function=effects, order=72, at_end=True,
    needs=frozenset({"info", "turns", "memory"}), paper="several",
)
