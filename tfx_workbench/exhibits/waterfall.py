"""Where did it go? What lies between the baseline and the run in focus, part by part, and what was changed for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from tfx_engine.protocol.cards import load_catalogue
from tfx_engine.protocol.components import COMPONENTS
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES, CATEGORY_DEFINITIONS
from tfx_workbench.analysis.config_words import Chosen, Difference, differences, expected
from tfx_workbench.analysis.waterfall import REST, SMALLER, Key, Part, Waterfall, waterfall
from tfx_workbench.exhibits.by_step import NO_RUN, about
from tfx_workbench.exhibits.exhibit import Axis, Bars, Column, Definition, Exhibit, Plot, Table
from tfx_workbench.exhibits.format import (
    MINUS,
    UNKNOWN,
    Scale,
    byte_scale,
    count,
    count_scale,
    duration,
    signed_percent,
    size,
)
from tfx_workbench.exhibits.kind import Choice, Choices, ExhibitType
from tfx_workbench.exhibits.memory import why_no_split
from tfx_workbench.exhibits.runview import RunView, focused
from tfx_workbench.exhibits.text import Text, Words, join, say
from tfx_workbench.exhibits.time import why_not_profiled
from tfx_workbench.exhibits.within_step import CATEGORY_NAMES

_TITLE = tr_mark("Where did it go?")
_OF = Choice("of", tr_mark("what is shown"), (
    ("memory", tr_mark("memory")), ("modules", tr_mark("memory by module")), ("time", tr_mark("time")),
    ("params", tr_mark("parameters")), ("flops", tr_mark("FLOPs")),
))
_ROOM = 1.45  # of the axis, so that figures stand behind the longest bar
_SIGNS = {"+": tr_mark("more {quantity}"), "-": tr_mark("less {quantity}"), "0": tr_mark("{quantity} as before")}
_WORDS = {
    "parameters": tr_mark("parameters"), "activations": tr_mark("activations"), "gradients": tr_mark("gradients"),
    "optimizer": tr_mark("optimizer state"), "flops": tr_mark("FLOPs"), "time": tr_mark("time"),
}
_REST = {  # what no part explains
    "time": tr_mark("between profiled and other steps"), "flops": tr_mark("not by component"),
    "params": tr_mark("not by component"),
}
_DEFINITIONS = (
    Definition(say(tr_mark("waterfall")), say(tr_mark(
        "From the baseline's figure at the top to this run's at the bottom, the biggest change first. All changes add "
        "up to the difference exactly; what no part explains is a row of its own."))),
    *(Definition(say(CATEGORY_NAMES[c]), say(CATEGORY_DEFINITIONS[c])) for c in CATEGORIES),
)


@dataclasses.dataclass(frozen=True)
class _Quantity:
    """How a quantity is written; `about` are the quantities of the technique files that concern it."""

    axis: str
    scale: Callable[[float], Scale]
    write: Callable[[float], str]  # each figure in a unit of its own: a small change is no 0.000
    about: tuple[str, ...]
    why: Callable[[RunView], Words] = lambda run: ""
    is_cost: bool = True  # less of it is better


_MEMORY = ("parameters", "gradients", "optimizer", "activations")
_QUANTITIES = {
    "memory": _Quantity(tr_mark("at the peak"), byte_scale, size, _MEMORY, why_no_split),
    "modules": _Quantity(tr_mark("at the peak"), byte_scale, size, _MEMORY, why_no_split),
    "time": _Quantity(tr_mark("time of a step"), lambda _: Scale("ms", 1.0), duration, ("time", "flops"),
                      why_not_profiled),
    "params": _Quantity(tr_mark("parameters"), lambda largest: count_scale(largest, ""), count, ("parameters",),
                        is_cost=False),
    "flops": _Quantity(tr_mark("FLOPs per token"), lambda largest: count_scale(largest, "FLOPs"), count, ("flops",)),
}
Row = tuple[Words, float, float, str, str]  # label, start and end, colour, what stands at the end


def exhibit(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """From the baseline, or the first run, to the one in focus; of a single run what its figure is made of."""
    before, after = two_of(runs)
    if after is None:
        return Exhibit("waterfall", say(_TITLE), empty=NO_RUN, definitions=_DEFINITIONS)
    of = choices.get("of", "memory")
    quantity = _QUANTITIES[of]
    found = waterfall(of, before.data if before else None, after.data)
    if found.missing:
        lacking = after if found.of_other or before is None else before
        why = quantity.why(lacking) or say(found.missing)
        empty = why if len(runs) == 1 else join([lacking.label, why], ": ")
        return Exhibit("waterfall", say(_TITLE), empty=empty, definitions=_DEFINITIONS)
    changed = _changed(before, after) if before else []
    scale = quantity.scale(max(found.before, found.after, 1e-9))
    return Exhibit(
        "waterfall", say(_TITLE), sentence=_sentence(runs, before, after, found, quantity.write),
        plots=(_plot(of, _rows(of, before, after, found), scale),),
        tables=(_table(changed, quantity.about),) if changed else (),
        notes=_notes(before, after, changed), definitions=(*_DEFINITIONS, *_guides(changed)),
    )


def two_of(runs: Sequence[RunView]) -> tuple[RunView | None, RunView | None]:
    """The run to come from (None where there is one only) and the run to come to."""
    after = focused(runs)
    before = next((r for r in runs if r.baseline), runs[0] if runs else None)
    if after is before:
        after = next((r for r in reversed(runs) if r is not before), None)
    return (before, after) if after is not None else (None, before)


def _changed(before: RunView, after: RunView) -> list[Difference]:
    return differences(before.data.info.config, after.data.info.config, load_catalogue())


# ---------------------------------------------------------------------------------------------- bars


def _rows(of: str, before: RunView | None, after: RunView, found: Waterfall) -> list[Row]:
    at = found.before
    write = _QUANTITIES[of].write
    rows: list[Row] = [(before.label, 0.0, at, before.colour_name, write(at))] if before else []
    for part in found.parts:
        text = write(abs(part.change))
        sign = "" if before is None else "+" if part.change > 0 else MINUS
        rows.append((_name(of, part), at, at + part.change, _colour(of, part, before is None), f"{sign}{text}"))
        at += part.change
    return [*rows, (after.label, 0.0, found.after, after.colour_name, write(found.after))]


def _name(of: str, part: Part) -> Words:
    if part.key == SMALLER:
        return say(tr_mark("{count} smaller changes"), count=part.count)
    if part.key == REST:
        return say(_REST.get(of, tr_mark("not attributed")))
    names: list[Words] = [_word(name) for name in part.key]
    return names[0] if len(names) == 1 else say("{component}: {category}", component=names[1], category=names[0])


def _word(name: str) -> Words:
    return say(CATEGORY_NAMES.get(name) or COMPONENTS.get(name, name))


def _colour(of: str, part: Part, is_lone: bool) -> str:
    key: Key = part.key
    if key in (SMALLER, REST):
        return "muted"
    if is_lone:
        return f"category:{key[0]}" if of in ("memory", "modules") else f"component:{key[0]}"
    if not _QUANTITIES[of].is_cost:
        return "accent"
    return "worse" if part.change > 0 else "better"


def _plot(of: str, rows: list[Row], scale: Scale) -> Plot:
    """From the top down; the texts stand behind each bar's right end."""
    rows = rows[::-1]
    starts, ends = (np.array([row[i] for row in rows], dtype=np.float64) / scale.size for i in (1, 2))
    labels = tuple(row[0] for row in rows)
    right = np.maximum(starts, ends)
    bars = Bars("change", labels, starts, ends, tuple(row[3] for row in rows))
    texts = Bars("texts", labels, right, right, ("text",) * len(rows), tuple(row[4] for row in rows))
    x = Axis(say(_QUANTITIES[of].axis), scale.unit, low=0.0, high=float(max(right.max(), 1e-9)) * _ROOM)
    y = Axis(low=-0.5, high=len(rows) - 0.5, ticks=tuple((float(i), label) for i, label in enumerate(labels)))
    return Plot(f"waterfall {of}", x, y, (bars, texts))


# ---------------------------------------------------------------------------------------------- words


def _sentence(
    runs: Sequence[RunView], before: RunView | None, after: RunView, found: Waterfall, write: Callable[[float], str]
) -> Text:
    if before is None:
        return about(after, runs, write(found.after))
    if found.before <= 0:
        return about(after, runs, say(tr_mark("{now} against {was} of {baseline}"), now=write(found.after),
                                      was=write(found.before), baseline=before.label))
    percent = signed_percent(100 * (found.after / found.before - 1))
    return about(after, runs, say(tr_mark("{now}, {percent} against {baseline}"), now=write(found.after),
                                  percent=percent, baseline=before.label))


def _table(changed: list[Difference], about_: tuple[str, ...]) -> Table:
    """What was changed, and what its files say that this does to the quantity."""
    columns = tuple(Column(say(title), number=False) for title in (
        tr_mark("what differs"), tr_mark("baseline"), tr_mark("here"), tr_mark("what its file says of it")))
    rows = [
        (say(d.title), chosen_words(d.before), chosen_words(d.after), _said_of(d, about_)) for d in changed
    ]
    return Table("changes", columns, tuple(rows))


def chosen_words(chosen: Chosen) -> Words:
    """A technique and its options, or a value."""
    options: list[Words] = [
        join([say(label), str(value)], " ") if label else say(value) if isinstance(value, str) else str(value)
        for label, value in chosen.options
    ]
    if not chosen.title:
        return join(options, ", ") if options else UNKNOWN
    return say("{title} ({options})", title=say(chosen.title), options=join(options, ", ")) if options \
        else say(chosen.title)


def _said_of(difference: Difference, about_: tuple[str, ...]) -> Words:
    said: list[Words] = []
    for one in expected([difference]):
        if one.quantity in about_:
            sign = {"+": "-", "-": "+"}.get(one.sign, one.sign) if one.is_gone else one.sign
            words = say(_SIGNS[sign], quantity=say(_WORDS.get(one.quantity, one.quantity)))
            template = tr_mark("{words} (no longer: {formula})") if one.is_gone else tr_mark("{words}: {formula}")
            said.append(say(template, words=words, formula=say(one.formula)))
    return join(said, "; ") if said else UNKNOWN


def _guides(changed: list[Difference]) -> tuple[Definition, ...]:
    return tuple(
        Definition(say(d.after.title), say(tr_mark("Choose it when {choose} Rather not when {avoid}"),
                                           choose=say(d.after.card.guide.choose), avoid=say(d.after.card.guide.avoid)))
        for d in changed if d.after.card is not None and d.after.card.guide.choose
    )


def _notes(before: RunView | None, after: RunView, changed: list[Difference]) -> tuple[Words, ...]:
    if before is None:
        return ()
    notes: list[Words] = [] if changed else [say(tr_mark("the two configurations are the same"))]
    devices = [str((r.data.facts.get("device") or {}).get("name", "")) for r in (before, after)]
    if devices[0] != devices[1]:
        notes.append(say(tr_mark("measured on different devices: {one} and {other}"), one=devices[0], other=devices[1]))
    return tuple(notes)


EXHIBIT = ExhibitType(
    name="waterfall", title=_TITLE, function=exhibit, order=74, at_end=True, choices=(_OF,),
    needs=frozenset({"info", "memory", "profile"}), paper="each",
)
