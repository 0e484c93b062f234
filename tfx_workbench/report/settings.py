"""Configurations as tables: what differs between the runs, and everything that they have in common."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tfx_engine.protocol.cards import load_catalogue
from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.text import Words, join, say
from tfx_workbench.report.document import Block, Cell, Grid, Head, Paragraph, Section
from tfx_workbench.report.subject import Subject
from tfx_workbench.report.summary import written

_HIDDEN = ("name", "format", "run.store")  # of the run or of the place, and not of what was run


def settings(subject: Subject) -> Section:
    """What differs, then what is the same everywhere."""
    flat = [dict(_flat(view.data.info.config)) for view in subject.views]
    keys = [key for key in dict.fromkeys(key for one in flat for key in one) if key not in _HIDDEN]
    differing = sorted((key for key in keys if len({written(one.get(key)) for one in flat}) > 1), key=_by_part)
    blocks: list[Block] = []
    if len(subject.views) > 1:
        blocks.append(_differences(subject, flat, differing))
    caption = say(tr_mark("The same in all runs")) if len(flat) > 1 else say(tr_mark("The whole configuration"))
    heads = (Head(say(tr_mark("part")), False), Head(say(tr_mark("choice")), False),
             Head(say(tr_mark("settings")), False))
    common = {key: flat[0].get(key) for key in keys if key not in differing}
    note = say(tr_mark("What is not set is left out: the program decides it, from the other keys or the device. Every "
                       "key, with its default, stands under “How to reproduce”."))
    blocks.append(Grid(caption, heads, tuple(_parts(common)), (note,)))
    return Section("configuration", say(tr_mark("Configuration")), tuple(blocks))


def _parts(common: Mapping[str, Any]) -> Iterator[tuple[Cell, Cell, Cell]]:
    """A line for each section and each slot, in the names of the catalogue."""
    catalogue = load_catalogue()
    groups: dict[str, dict[str, Any]] = {}
    for key, value in common.items():
        part, _, name = key.rpartition(".")
        groups.setdefault(part, {})[name] = value
    unused: list[Words] = []
    for part, values in groups.items():
        slot = part.removeprefix("techniques.") if part.startswith("techniques.") else ""
        use = str(values.pop("use", "")) if slot else ""
        found, card = catalogue.slot(slot), catalogue.find(slot, use)
        rest = ", ".join(f"{name} {written(value)}" for name, value in values.items() if value is not None)
        if use == "none" and found and not rest:
            unused.append(say(found.title))
        elif use or rest:
            title = say(found.title) if found else part or say(tr_mark("run"))
            yield Cell(title), Cell(say(card.title) if card else use), Cell(rest)
    if unused:
        yield Cell(say(tr_mark("without"))), Cell(""), Cell(join(unused, ", "))


def _differences(subject: Subject, flat: list[dict[str, Any]], differing: list[str]) -> Block:
    if not differing:
        return Paragraph(say(tr_mark("The runs do not differ in their configuration.")))
    heads = (Head(say(tr_mark("key")), False), *(Head(subject.head(view), False) for view in subject.views))
    base = flat[subject.views.index(subject.baseline)]
    rows = tuple(
        (Cell(key), *(_cell(one, base, key) for one in flat)) for key in differing
    )
    return Grid(say(tr_mark("What differs")), heads, rows)


def _by_part(key: str) -> tuple[str, bool]:
    """What belongs to one technique stands together, its name first."""
    part, _, name = key.rpartition(".")
    return part, name != "use"


def _cell(one: Mapping[str, Any], base: Mapping[str, Any], key: str) -> Cell:
    if key not in one:
        return Cell("", why=say(tr_mark("the technique chosen here has no such option")))
    text = written(one[key])
    return Cell(text, tone="" if written(base.get(key)) != text or one is base else "muted")


def _flat(table: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    entries: list[tuple[str, Any]] = []
    for key, value in table.items():
        entries += _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [(f"{prefix}{key}", value)]
    return entries
