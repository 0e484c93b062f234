"""What measuring costs a run: within its steps, and by what is read between them; against the user's budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.by_step import NO_RUN, WAITING, about
from tfx_workbench.exhibits.exhibit import Axis, Bars, Definition, Exhibit, Plot
from tfx_workbench.exhibits.format import duration, number, percent
from tfx_workbench.exhibits.kind import Choices, ExhibitType
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, Words, say

_TITLE = tr_mark("Overhead")
_NAMES = {
    "steps": tr_mark("within steps"), "attention": tr_mark("attention maps"), "evaluation": tr_mark("held-out loss"),
    "memory": tr_mark("memory splits"), "update": tr_mark("update ratios"), "request": tr_mark("maps on request"),
    "finite": tr_mark("finite gradients"),
}
OFTEN, RARELY, ENOUGH = 3, 16, 64  # as `tfx_engine.measure.overhead` does it, which needs torch
_ROOM = 1.3  # of the axis, so that figures stand behind the longest bar
_DEFINITIONS = (
    Definition(say(tr_mark("overhead")), say(tr_mark(
        "What measuring takes, per cent of the time of the measured steps without it. Of every {often} steps, and of "
        "every {rarely} once {enough} were compared, one goes without probes and is compared with its neighbours; "
        "where the host waits for the device, the time within the probes counts unless that comparison contradicts it. "
        "What is read between steps is timed where it happens."),
        often=OFTEN, rarely=RARELY, enough=ENOUGH)),
    Definition(say(_NAMES["steps"]), say(tr_mark("Gradient norms and memory readings, over all steps."))),
)
Rows = list[tuple[Words, float]]


# What a file says of it where anything was measured.
_NEEDED = ("percent", "step_percent", "probed_percent", "budget_percent", "captures_percent")


def overhead(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """One bar for each thing that measuring spends time on."""
    run = focused(runs)
    if run is None:
        return Exhibit("overhead", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    found = run.data.facts.get("overhead")
    if not found or any(found.get(name) is None for name in _NEEDED):
        return Exhibit("overhead", say(_TITLE), empty=_why_not(run), definitions=_DEFINITIONS)
    rows: Rows = [(say(_NAMES.get(name, name)), value) for name, value in _parts(found)]
    return Exhibit(
        "overhead", say(_TITLE), sentence=_sentence(run, runs, found), definitions=_DEFINITIONS, notes=_notes(found),
        plots=(_plot(run, rows[::-1]),),
    )


def _why_not(run: RunView) -> Words:
    if run.data.is_live:
        return WAITING
    return say(run.data.missing.get("overhead_percent") or tr_mark("What measuring costs was not measured."))


def _parts(found: dict[str, Any]) -> list[tuple[str, float]]:
    within = found["step_percent"] * found["probed_percent"] / 100
    return [("steps", within), *sorted(found["captures_percent"].items(), key=lambda item: -item[1])]


def _plot(run: RunView, rows: Rows) -> Plot:
    values, labels = np.array([value for _, value in rows]), tuple(name for name, _ in rows)
    bars = Bars(f"overhead {run.data.path}", labels, np.zeros(len(rows)), values, (run.colour_name,) * len(rows))
    texts = Bars("figures", labels, values, values, ("text",) * len(rows), tuple(f"{number(v, 2)} %" for v in values))
    x = Axis(say(tr_mark("share of the training's time")), "%", low=0.0, high=float(max(values.max(), 1e-3)) * _ROOM)
    y = Axis(low=-0.5, high=len(rows) - 0.5, ticks=tuple((float(i), name) for i, name in enumerate(labels)))
    return Plot("overhead", x, y, (bars, texts))


def _sentence(run: RunView, runs: Sequence[RunView], found: dict[str, Any]) -> Text:
    return about(
        run, runs, say(tr_mark("measuring costs {value}"), value=percent(found["percent"], 2)),
        say(tr_mark("budget {value}"), value=percent(found["budget_percent"], 2)),
        say(tr_mark("{value} of the steps have probes"), value=percent(found["probed_percent"], 2)),
    )


def _notes(found: dict[str, Any]) -> tuple[Words, ...]:
    notes: list[Words] = []
    if None not in (found.get("low"), found.get("high"), found.get("comparisons")):
        notes.append(say(
            tr_mark("steps in turn: {low} to {high} in all, 95 %, from {count} comparisons"),
            low=percent(found["low"], 2), high=percent(found["high"], 2), count=found["comparisons"]))
    if found["percent"] > found["budget_percent"]:
        why = found.get("why_over") or tr_mark("the run is too short for what it took at least once")
        notes.append(say(tr_mark("more than the budget: {why}"), why=say(why)))
    if once_ms := sum((found.get("once_ms") or {}).values()):
        notes.append(say(tr_mark("before these steps and after them once more: {time}"), time=duration(once_ms)))
    return tuple(notes)


EXHIBIT = ExhibitType(
    name="overhead", title=_TITLE, function=overhead, order=75, needs=frozenset({"info"}), paper="one",
)
