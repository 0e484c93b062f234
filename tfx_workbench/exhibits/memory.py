"""Memory: what it is made of within one step, and how that changes over the run.

The composition belongs to the focused run; of every other ticked run there is its total. The capacity of the device is
a line where that does not flatten everything else, and a sentence where it would.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES, CATEGORY_DEFINITIONS
from tfx_workbench.exhibits.by_step import NO_RUN, about, define, series_of, why_missing, x_axis
from tfx_workbench.exhibits.exhibit import (
    Area,
    Axis,
    Curve,
    Definition,
    Exhibit,
    Layer,
    LegendEntry,
    Line,
    LineStyle,
    Plot,
    Stack,
)
from tfx_workbench.exhibits.format import Scale, byte_scale, number, percent, size
from tfx_workbench.exhibits.kind import Choice, Choices, ExhibitType
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, Words, say
from tfx_workbench.exhibits.within_step import CATEGORY_NAMES, end_ms, peak_marker, phases_of, thinned, until
from tfx_workbench.runs.series import Series
from tfx_workbench.runs.summary import highest_probe

if TYPE_CHECKING:
    from tfx_engine.runfile.rows import MemoryProbe

_TITLE = tr_mark("Memory")
_VIEW = Choice("view", tr_mark("what is shown"), (
    ("within", tr_mark("within a step")), ("over", tr_mark("over the run")),
))
_DEVICE_FIGURES: tuple[tuple[str, str, LineStyle], ...] = (
    ("allocated_bytes", tr_mark("allocated"), "solid"), ("reserved_bytes", tr_mark("reserved"), "dashed"),
    ("device_bytes", tr_mark("device, all processes"), "dotted"),
)
_DEFINITIONS = (
    *define("allocated_bytes", "reserved_bytes", "device_bytes", "rss_bytes"),
    *(Definition(say(CATEGORY_NAMES[c]), say(CATEGORY_DEFINITIONS[c])) for c in CATEGORIES),
)
_SMALLEST = 0.01  # of the peak: what is less cannot be seen, and is not in the legend
_ROOM = 2.5  # a capacity further above the peak than this is told in words


def memory(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """The chosen view of the focused run's memory."""
    run = focused(runs)
    if run is None:
        return Exhibit("memory", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    found = [(r, highest_probe(r.data.memory_probes)) for r in runs]
    peaks = {id(r): probe for r, probe in found if probe is not None}
    if id(run) not in peaks:
        return Exhibit("memory", say(_TITLE), empty=why_no_split(run), definitions=_DEFINITIONS)
    scale = byte_scale(float(max(p.peak_bytes for p in peaks.values())))
    shown = _over(run, runs, scale, choices) if choices.get("view") == "over" else _within(run, runs, peaks, scale)
    x, layers, extra = shown
    capacity, notes = _capacity(run, peaks[id(run)].peak_bytes, scale)
    above = [layer for layer in layers if isinstance(layer, Curve) and not layer.sets_range]
    notes = (*(_out_of_sight(curve, scale) for curve in above), *notes)
    seen = _used(run.data.memory_probes if choices.get("view") == "over" else [peaks[id(run)]], _SMALLEST)
    legend = [*(LegendEntry(say(CATEGORY_NAMES[c]), f"category:{c}", "area") for c in seen), *extra]
    return Exhibit(
        "memory", say(_TITLE), sentence=_sentence(run, runs, peaks[id(run)]), legend=tuple(legend),
        plots=(Plot(choices.get("view", ""), x, Axis("", scale.unit, low=0.0), (*layers, *capacity)),),
        notes=notes, definitions=_DEFINITIONS,
    )


def why_no_split(run: RunView) -> Words:
    if not run.data.info.config["run"].get("probes", True):
        return say(tr_mark("This run measured nothing but the clock: tick “measure everything” to see its memory."))
    if run.data.is_live:
        return say(tr_mark("Waiting for the first step whose memory is split into categories."))
    return why_missing([run], "memory_split", say(tr_mark("The memory of this run was never split into categories.")))


def _used(probes: Sequence[MemoryProbe], share: float = 0.0) -> list[str]:
    """The categories that ever were more than that share of the peak."""
    least = share * max(p.peak_bytes for p in probes)
    return [c for c in CATEGORIES if any(max(p.category_peak[c], p.composition[c]) > least for p in probes)]


def _areas(categories: list[str]) -> tuple[Area, ...]:
    return tuple(Area(say(CATEGORY_NAMES[c]), f"category:{c}") for c in categories)


# ---------------------------------------------------------------------------------------------- within a step


def _within(
    run: RunView, runs: Sequence[RunView], peaks: Mapping[int, MemoryProbe], scale: Scale
) -> tuple[Axis, list[Layer], list[LegendEntry]]:
    probe = peaks[id(run)]
    used = _used([probe])
    columns = [CATEGORIES.index(c) for c in used]
    end = max(end_ms(p) for p in peaks.values())
    kept = thinned(probe)
    x, values = until(probe.timeline_ms[kept], probe.timeline[kept][:, columns] / scale.size, end_ms(probe))
    layers: list[Layer] = [Stack("split", x, values, _areas(used))]
    extra = []
    for other in runs:
        if other is not run and id(other) in peaks:
            theirs = peaks[id(other)]
            kept = thinned(theirs)
            totals = theirs.timeline[kept].sum(axis=1)[:, None]
            at, total = until(theirs.timeline_ms[kept], totals / scale.size, end_ms(theirs))
            key = f"total {other.data.path}"
            layers.append(Curve(key, other.label, at, total[:, 0], other.colour_name, steps=True))
            extra.append(LegendEntry(other.label, other.colour_name))
    layers += phases_of(probe)
    totals = probe.timeline.sum(axis=1)
    if len(totals):
        layers.append(peak_marker(float(probe.timeline_ms[int(np.argmax(totals))]), probe.peak_bytes, scale))
    return Axis(say(tr_mark("time")), "ms", low=0.0, high=end), layers, extra


# ---------------------------------------------------------------------------------------------- over the run


def _over(
    run: RunView, runs: Sequence[RunView], scale: Scale, choices: Choices
) -> tuple[Axis, list[Layer], list[LegendEntry]]:
    probes = run.data.memory_probes
    used = _used(probes)
    resident = [(r, series_of(r, "rss_bytes", choices)) for r in runs]
    axis, _ = x_axis(runs, [series for _, series in resident], choices)
    values = np.array([[p.composition[c] for c in used] for p in probes], dtype=np.float64) / scale.size
    mine = next(series for r, series in resident if r is run)
    newest = float(mine.x[-1]) if len(mine) else 0.0
    x, values = until(_steps_of(probes), values, max(newest, probes[-1].step + 1.0))
    layers: list[Layer] = [Stack("split", x, values, _areas(used))]
    extra = []
    for other in runs:
        theirs = other.data.memory_probes
        if other is not run and theirs:
            peaks = np.array([p.peak_bytes for p in theirs]) / scale.size
            key = f"peak {other.data.path}"
            layers.append(Curve(key, other.label, _steps_of(theirs), peaks, other.colour_name, steps=True, points=True))
            extra.append(LegendEntry(other.label, other.colour_name))
    highest = highest_probe(probes) or probes[0]
    for curve in _between_probes(run, mine, scale, highest.peak_bytes, choices):
        layers.append(curve)
        extra.append(LegendEntry(curve.label, "muted", curve.style))
    layers.append(peak_marker(float(highest.step), highest.peak_bytes, scale))
    return axis, layers, extra


def _steps_of(probes: Sequence[MemoryProbe]) -> np.ndarray:
    return np.array([p.step for p in probes], dtype=np.float64)


def _between_probes(
    run: RunView, resident: Series, scale: Scale, peak_bytes: int, choices: Choices
) -> list[Curve]:
    """What is known at every step, also between the probes: the device's own figures, on the CPU the process's."""
    if run.data.facts.get("device", {}).get("kind", "cpu") == "cpu":
        base = float(run.data.facts.get("process_base_rss_bytes") or 0.0)
        label = say(tr_mark("process memory beyond its start") if base else tr_mark("process memory"))
        process = _known_curve("rss", label, resident, resident.mean - base, scale, "dotted", peak_bytes)
        return [process] if process is not None else []
    curves = []
    for column, title, style in _DEVICE_FIGURES:
        series = series_of(run, column, choices)
        curve = _known_curve(column, say(title), series, series.high, scale, style, peak_bytes)
        if curve is not None:
            curves.append(curve)
    return curves


def _known_curve(
    key: str, label: Text, series: Series, values: np.ndarray, scale: Scale, style: LineStyle, peak_bytes: int
) -> Curve | None:
    """The finite part of a series; one far above the peak is told in words, so that it does not flatten the rest."""
    known = np.isfinite(values)
    if not known.any():
        return None
    return Curve(
        key, label, series.x[known], values[known] / scale.size, "muted", style=style,
        sets_range=bool(values[known].max() <= _ROOM * peak_bytes),
    )


# ---------------------------------------------------------------------------------------------- words


def _sentence(run: RunView, runs: Sequence[RunView], probe: MemoryProbe) -> Text:
    predicted = _predicted(run)
    peak = size(probe.peak_bytes)
    if math.isfinite(predicted):
        peaks = say(tr_mark("peak {peak} (predicted {predicted})"), peak=peak, predicted=size(predicted))
    else:
        peaks = say(tr_mark("peak {peak}"), peak=peak)
    return about(run, runs, peaks, say(tr_mark("step {step}"), step=f"{probe.step:,}"))


def _predicted(run: RunView) -> float:
    found = run.data.predictions.get("memory_bytes.peak")
    return float(found.value) if found is not None and found.value is not None else math.nan


def _out_of_sight(curve: Curve, scale: Scale) -> Text:
    low, high = (size(float(bound(curve.y)) * scale.size) for bound in (np.min, np.max))
    return say(tr_mark("{what}: {low} to {high}"), what=curve.label, low=low, high=high)


def _capacity(run: RunView, peak_bytes: float, scale: Scale) -> tuple[tuple[Layer, ...], tuple[Words, ...]]:
    capacity = run.data.facts.get("capacity_bytes")
    if not capacity or not peak_bytes:
        return (), ()
    if capacity <= _ROOM * peak_bytes:
        label = say(tr_mark("capacity {size}"), size=size(capacity))
        return (Line("capacity", capacity / scale.size, label, "worse", "dashed"),), ()
    share = 100 * peak_bytes / capacity
    return (), (say(
        tr_mark("the peak takes {share} of this device's {size}"), size=size(capacity),
        share=percent(share, 2) if share >= 0.01 else f"< {number(0.01)} %",
    ),)


EXHIBIT = ExhibitType(
    name="memory", title=_TITLE, function=memory, order=10, shortcut="Ctrl+1",
    needs=frozenset({"info", "memory", "steps"}), choices=(_VIEW,),
)
