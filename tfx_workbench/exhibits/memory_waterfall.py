"""What the peak is made of, category by category; beside a baseline, what each category adds or saves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES, CATEGORY_DEFINITIONS
from tfx_workbench.exhibits.by_step import NO_RUN, about
from tfx_workbench.exhibits.exhibit import Axis, Bars, Definition, Exhibit, Plot
from tfx_workbench.exhibits.format import MINUS, byte_scale, signed_percent, size
from tfx_workbench.exhibits.kind import Choice, Choices, ExhibitType
from tfx_workbench.exhibits.memory import why_no_split
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, Words, say
from tfx_workbench.exhibits.within_step import CATEGORY_NAMES
from tfx_workbench.runs.summary import highest_probe

_TITLE = tr_mark("Memory waterfall")
_OF = Choice("of", tr_mark("what is shown"), (
    ("difference", tr_mark("against the baseline")), ("peak", tr_mark("the peak")),
))
_DEFINITIONS = tuple(Definition(say(CATEGORY_NAMES[c]), say(CATEGORY_DEFINITIONS[c])) for c in CATEGORIES)
_ROOM = 1.45  # of the axis, so that figures stand behind the longest bar
Row = tuple[Words, float, float, str, str]  # label, start and end in bytes, colour, what stands at the end


def memory_waterfall(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """The focused run's highest peak; with a baseline, how it comes from that one's."""
    run = focused(runs)
    if run is None:
        return Exhibit("memory_waterfall", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    probe = highest_probe(run.data.memory_probes)
    if probe is None:
        return Exhibit("memory_waterfall", say(_TITLE), empty=why_no_split(run), definitions=_DEFINITIONS)
    other = next((r for r in runs if r.baseline and r is not run), None)
    before = highest_probe(other.data.memory_probes) if other is not None else None
    if other is not None and before is not None and choices.get("of") == "difference":
        rows = _difference(other.label, before.composition, run.label, probe.composition)
        change = 100 * (probe.peak_bytes / max(1, before.peak_bytes) - 1)
        sentence: Text = about(run, runs, say(tr_mark("peak {percent} against {baseline}"),
                                              percent=signed_percent(change), baseline=other.label))
    else:
        rows = _peak(probe.composition)
        sentence = about(run, runs, say(tr_mark("peak {peak}"), peak=size(probe.peak_bytes)))
    return Exhibit("memory_waterfall", say(_TITLE), sentence=sentence, plots=(_plot(rows),), definitions=_DEFINITIONS)


def _peak(composition: dict[str, int]) -> list[Row]:
    rows: list[Row] = []
    at = 0
    for category in CATEGORIES:
        if amount := composition[category]:
            rows.append((say(CATEGORY_NAMES[category]), at, at + amount, f"category:{category}", size(amount)))
            at += amount
    return [*rows, (say(tr_mark("peak")), 0, at, "muted", size(at))]


def _difference(name_before: str, before: dict[str, int], name: str, now: dict[str, int]) -> list[Row]:
    at = sum(before.values())
    rows: list[Row] = [(name_before, 0, at, "muted", size(at))]
    for category in CATEGORIES:
        if change := now[category] - before[category]:
            text = f"{'+' if change > 0 else MINUS}{size(abs(change))}"
            rows.append((say(CATEGORY_NAMES[category]), at, at + change, f"category:{category}", text))
            at += change
    return [*rows, (name, 0, at, "muted", size(at))]


def _plot(rows: list[Row]) -> Plot:
    """From the top down; the texts stand behind each bar's right end."""
    rows = rows[::-1]
    starts, ends = (np.array([row[i] for row in rows], dtype=np.float64) for i in (1, 2))
    scale = byte_scale(float(max(starts.max(), ends.max(), 1.0)))
    labels = tuple(row[0] for row in rows)
    right = np.maximum(starts, ends) / scale.size
    bars = Bars("change", labels, starts / scale.size, ends / scale.size, tuple(row[3] for row in rows))
    texts = Bars("texts", labels, right, right, ("text",) * len(rows), tuple(row[4] for row in rows))
    x = Axis(say(tr_mark("at the peak")), scale.unit, low=0.0, high=float(right.max()) * _ROOM)
    y = Axis(low=-0.5, high=len(rows) - 0.5, ticks=tuple((float(i), label) for i, label in enumerate(labels)))
    return Plot("waterfall", x, y, (bars, texts))


EXHIBIT = ExhibitType(
    name="memory_waterfall", title=_TITLE, function=memory_waterfall, order=74, needs=frozenset({"info", "memory"}),
    choices=(_OF,),
)
