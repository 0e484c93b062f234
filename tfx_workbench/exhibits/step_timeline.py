"""The memory within one step, moment by moment: by category, or by the component of the model that it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfx_engine.protocol.components import COMPONENTS
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES, CATEGORY_DEFINITIONS
from tfx_workbench.exhibits.by_step import NO_RUN, about
from tfx_workbench.exhibits.exhibit import Area, Axis, Definition, Exhibit, LegendEntry, Plot, Stack
from tfx_workbench.exhibits.format import byte_scale, percent, size
from tfx_workbench.exhibits.kind import Choice, Choices, ExhibitType
from tfx_workbench.exhibits.memory import why_no_split
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, say
from tfx_workbench.exhibits.within_step import CATEGORY_NAMES, end_ms, peak_marker, phases_of, thinned, until
from tfx_workbench.runs.summary import highest_probe

if TYPE_CHECKING:
    from tfx_engine.runfile.rows import MemoryProbe

_TITLE = tr_mark("Step timeline")
_BY = Choice("by", tr_mark("what is told apart"), (
    ("component", tr_mark("by component")), ("category", tr_mark("by category")),
))
_DEFINITIONS = (
    Definition(say(tr_mark("component")), say(tr_mark(
        "The technique at work when the memory was taken: in its module's forward pass, in the gradient of what it "
        "did there, or when that runs again. Weights, gradients and optimizer state belong to who holds the weight."))),
    *(Definition(say(CATEGORY_NAMES[c]), say(CATEGORY_DEFINITIONS[c])) for c in CATEGORIES),
)
_SMALLEST = 0.01  # of the peak: components that never have more are put together
Bands = tuple[np.ndarray, tuple[Area, ...]]  # bytes [n, bands], what each band is


def step_timeline(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """The highest split of the focused run."""
    run = focused(runs)
    if run is None:
        return Exhibit("step_timeline", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    probe = highest_probe(run.data.memory_probes)
    if probe is None:
        return Exhibit("step_timeline", say(_TITLE), empty=why_no_split(run), definitions=_DEFINITIONS)
    bands = None if choices.get("by") == "category" else _by_component(run, probe)
    values, areas = bands or _by_category(probe)
    kept, scale = thinned(probe), byte_scale(float(probe.peak_bytes))
    x, stacked = until(probe.timeline_ms[kept], values[kept] / scale.size, end_ms(probe))
    totals = probe.timeline.sum(axis=1)
    peak = peak_marker(float(probe.timeline_ms[int(np.argmax(totals))]), probe.peak_bytes, scale)
    plot = Plot("timeline", Axis(say(tr_mark("time")), "ms", low=0.0, high=end_ms(probe)),
                Axis("", scale.unit, low=0.0), (Stack("memory", x, stacked, areas), *phases_of(probe), peak))
    note = say(tr_mark("the recording slows the step down: its times are longer than those of measured steps"))
    return Exhibit(
        "step_timeline", say(_TITLE), sentence=_sentence(run, runs, probe), plots=(plot,), notes=(note,),
        legend=tuple(LegendEntry(area.label, area.colour, "area") for area in areas), definitions=_DEFINITIONS,
    )


def _by_category(probe: MemoryProbe) -> Bands:
    used = [c for c in CATEGORIES if probe.category_peak[c] > _SMALLEST * probe.peak_bytes]
    columns = [CATEGORIES.index(c) for c in used]
    return _with_rest(probe, probe.timeline[:, columns],
                      tuple(Area(say(CATEGORY_NAMES[c]), f"category:{c}") for c in used))


def _by_component(run: RunView, probe: MemoryProbe) -> Bands | None:
    found = run.data.memory_slots(probe.step)
    if found is None or len(found.timeline) != len(probe.timeline):
        return None
    large = [i for i in np.argsort(-found.timeline[0], kind="stable")
             if found.timeline[:, i].max() > _SMALLEST * probe.peak_bytes and found.slots[i] != "other"]
    areas = tuple(Area(say(COMPONENTS.get(found.slots[i], found.slots[i])), f"component:{found.slots[i]}")
                  for i in large)
    return _with_rest(probe, found.timeline[:, large], areas)


def _with_rest(probe: MemoryProbe, values: np.ndarray, areas: tuple[Area, ...]) -> Bands:
    """What the bands leave over is a band of its own, so that they add up to what is allocated."""
    rest = probe.timeline.sum(axis=1) - values.sum(axis=1)
    if not rest.any():
        return values, areas
    return np.column_stack([values, rest]), (*areas, Area(say(tr_mark("the rest")), "muted"))


def _sentence(run: RunView, runs: Sequence[RunView], probe: MemoryProbe) -> Text:
    at = float(probe.timeline_ms[int(np.argmax(probe.timeline.sum(axis=1)))]) if len(probe.timeline_ms) else 0.0
    part = next((name for name, start, end in reversed(probe.phases) if start <= at <= end), "")
    low = int(probe.timeline.sum(axis=1).min()) if len(probe.timeline) else 0
    words = [say(tr_mark("peak {peak}"), peak=size(probe.peak_bytes))]
    if part:
        words.append(say(tr_mark("in {part}"), part=say(_PART_WORDS.get(part, part))))
    words.append(say(tr_mark("{share} of it all the time"), share=percent(100 * low / max(1, probe.peak_bytes), 2)))
    return about(run, runs, *words)


_PART_WORDS = {
    "forward": tr_mark("the forward pass"), "loss": tr_mark("the loss"), "backward": tr_mark("the backward pass"),
    "recompute": tr_mark("a recomputation"), "optimizer": tr_mark("the optimizer"),
    "measure": tr_mark("a reading of the workbench's"),
}

EXHIBIT = ExhibitType(
    name="step_timeline", title=_TITLE, function=step_timeline, order=72, needs=frozenset({"info", "memory"}),
    choices=(_BY,), paper="one",
)
