"""Where the time of a step goes: by component of the model, each divided into the parts of the step; or run by run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfx_engine.protocol.components import COMPONENT_DEFINITIONS, COMPONENTS, PART_DEFINITIONS, PARTS
from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.by_step import NO_RUN, about
from tfx_workbench.exhibits.exhibit import Axis, Bars, Definition, Exhibit, LegendEntry, Plot
from tfx_workbench.exhibits.format import duration, number, percent
from tfx_workbench.exhibits.kind import Choice, Choices, ExhibitType
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, Words, say
from tfx_workbench.runs.summary import step_times

_TITLE = tr_mark("Time")
_VIEW = Choice("view", tr_mark("what is shown"), (
    ("component", tr_mark("by component")), ("run", tr_mark("run by run")),
))
_ROWS = 10  # the smallest components beyond them are put together
_ROOM = 1.3  # of the axis, so that figures stand behind the longest bar
_DEFINITIONS = (
    Definition(say(tr_mark("time")), say(tr_mark(
        "Milliseconds of a step without profiler. On the CPU each part is timed and shared out by what a profiled "
        "step did within it; on a device, components have the time of their kernels, and what is left it was idle."))),
    *(Definition(say(PARTS[name]), say(text)) for name, text in PART_DEFINITIONS.items()),
    *(Definition(say(COMPONENTS[name]), say(text)) for name, text in COMPONENT_DEFINITIONS.items()),
)
Rows = list[tuple[Words, dict[str, float]]]  # the name of a bar, its ms by part


def time(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """The chosen view of where time goes."""
    run = focused(runs)
    if run is None:
        return Exhibit("time", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    profiled = [r for r in runs if r.data.profile_parts]
    if run not in profiled:
        return Exhibit("time", say(_TITLE), empty=why_not_profiled(run), definitions=_DEFINITIONS)
    rows = _by_run(profiled) if choices.get("view") == "run" else _by_component(run)
    used = [part for part in PARTS if any(parts.get(part) for _, parts in rows)]
    return Exhibit(
        "time", say(_TITLE), sentence=_sentence(run, runs), definitions=_DEFINITIONS, notes=_notes(run),
        plots=(_plot(choices.get("view", ""), rows, used),),
        legend=tuple(LegendEntry(say(PARTS[part]), f"part:{part}", "area") for part in used),
    )


def why_not_profiled(run: RunView) -> Words:
    """Why there is nothing of the phase `profile`."""
    if reason := run.data.missing.get("time_ms"):
        return say(reason)
    if run.data.is_live:
        return say(tr_mark("Some steps are profiled after the measured ones."))
    return say(tr_mark("The run ended before a step was profiled."))


def _by_component(run: RunView) -> Rows:
    found: dict[str, dict[str, float]] = {}
    for row in run.data.profile_parts:
        parts = found.setdefault(row.component, {})
        parts[row.part] = parts.get(row.part, 0.0) + row.ms
    ordered = sorted(found.items(), key=lambda item: -sum(item[1].values()))
    rows: Rows = [(say(COMPONENTS.get(name, name)), parts) for name, parts in ordered[:_ROWS]]
    if rest := ordered[_ROWS:]:
        together = {part: sum(parts.get(part, 0.0) for _, parts in rest) for part in PARTS}
        rows.append((say(tr_mark("{count} more"), count=len(rest)), together))
    return rows


def _by_run(runs: Sequence[RunView]) -> Rows:
    return [(run.label, (step_times(run.data) or {"part": {}})["part"]) for run in runs]


def _plot(key: str, rows: Rows, used: list[str]) -> Plot:
    """Bars from the top down, each divided into the parts of the step."""
    rows = rows[::-1]
    values = np.array([[parts.get(part, 0.0) for part in used] for _, parts in rows])
    ends = values.cumsum(axis=1)
    totals, labels = ends[:, -1], tuple(name for name, _ in rows)
    layers = [
        Bars(f"part {part}", labels, ends[:, i] - values[:, i], ends[:, i], (f"part:{part}",) * len(rows),
             label=say(PARTS[part]))
        for i, part in enumerate(used)
    ]
    texts = tuple(f"{number(ms, 3)} ms" for ms in totals)
    layers.append(Bars("totals", labels, totals, totals, ("text",) * len(rows), texts))
    x = Axis(say(tr_mark("time of a step")), "ms", low=0.0, high=float(max(totals.max(), 1e-6)) * _ROOM)
    y = Axis(low=-0.5, high=len(rows) - 0.5, ticks=tuple((float(i), name) for i, name in enumerate(labels)))
    return Plot(key, x, y, tuple(layers))


def _sentence(run: RunView, runs: Sequence[RunView]) -> Text:
    times: dict[str, Any] = step_times(run.data) or {}
    whole = times["step"] or 1.0
    part, component = (max(times[kind].items(), key=lambda item: item[1]) for kind in ("part", "component"))
    return about(
        run, runs, duration(times["step"]),
        say(tr_mark("{name} {share}"), name=say(PARTS.get(part[0], part[0])), share=percent(100 * part[1] / whole, 2)),
        say(tr_mark("{name} {share}"), name=say(COMPONENTS.get(component[0], component[0])),
            share=percent(100 * component[1] / whole, 2)),
    )


def _notes(run: RunView) -> tuple[Words, ...]:
    times = step_times(run.data) or {}
    if not times.get("profiled_step") or not times["step"]:
        return ()
    slower = 100 * (times["profiled_step"] / times["step"] - 1)
    return (say(
        tr_mark("profiled steps took {profiled}, {slower} more than the marked ones that these times add up to"),
        profiled=duration(times["profiled_step"]), slower=percent(max(0.0, slower), 2),
    ),)


EXHIBIT = ExhibitType(
    name="time", title=_TITLE, function=time, order=70, needs=frozenset({"info", "profile"}), choices=(_VIEW,),
    at_end=True, paper="one",
)
