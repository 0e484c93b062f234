"""What fits: how large batch, context or depth can become within a memory, technique by technique.

It shows no run: `choices["found"]` carries the frontiers that were found, as JSON (`encode_frontiers`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.frontier import Frontier, Row
from tfx_workbench.exhibits.exhibit import (
    Axis,
    Bars,
    Column,
    Definition,
    Exhibit,
    LegendEntry,
    Plot,
    Table,
)
from tfx_workbench.exhibits.format import MINUS, UNKNOWN, number, size
from tfx_workbench.exhibits.kind import Choice, Choices, ExhibitType
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.exhibits.stated_error import off
from tfx_workbench.exhibits.text import Text, Words, join, say

_TITLE = tr_mark("What fits")
GROW = Choice("grow", tr_mark("what grows"), (
    ("batch", tr_mark("batch")), ("context", tr_mark("context")), ("layers", tr_mark("layers")),
))
_VIEW = Choice("view", tr_mark("what is shown"), (("bars", tr_mark("bars")), ("figures", tr_mark("figures"))))
_AXES = {
    "batch": (tr_mark("largest batch"), tr_mark("samples")), "context": (tr_mark("longest context"), tr_mark("tokens")),
    "layers": (tr_mark("most layers"), ""),
}
_PREDICTED, _CONFIRMED = tr_mark("predicted"), tr_mark("confirmed by a run")
_EMPTY = tr_mark("Press Predict to see how large the configuration in the form can become here; Confirm then runs "
                 "short steps of what was found.")
_ROOM = 2.0  # of the axis, so that figures stand behind the longest bar
_DEFINITIONS = (
    Definition(say(_TITLE), say(tr_mark(
        "The largest value for which the peak of a step's memory stays within the limit, with the configuration as it "
        "is and with one technique changed at a time."))),
    Definition(say("×"), say(tr_mark("The value divided by that of the configuration as it is."))),
    Definition(say(_PREDICTED), say(tr_mark(
        "Found by estimates alone: the peak at this value is within the limit, at the next one it is not. To the peak "
        "is added the error that 95 of 100 such predictions stay within, as before a run; what is left is without "
        "it."))),
    Definition(say(_CONFIRMED), say(tr_mark(
        "Two steps of this size ran, and their measured peak was within the limit. What is left is the limit less "
        "that peak."))),
)


def encode_frontiers(found: Mapping[str, Frontier]) -> str:
    """Frontiers as this exhibit takes them, by what grows."""
    return msgspec.json.encode(found).decode()


def frontier(runs: Sequence[RunView], choices: Choices) -> Exhibit:
    """A bar for the configuration as it is and for each technique: hollow as predicted, filled where a run did it."""
    found = _found(choices)
    if found is None:
        return Exhibit("frontier", say(_TITLE), empty=say(_EMPTY), definitions=_DEFINITIONS)
    if choices.get("view") == "figures":
        return Exhibit("frontier", say(_TITLE), sentence=_sentence(found), tables=(_table(found),),
                       notes=_notes(found), definitions=_DEFINITIONS)
    return Exhibit(
        "frontier", say(_TITLE), sentence=_sentence(found), plots=(_plot(found),), notes=_notes(found),
        legend=(LegendEntry(say(_PREDICTED), "accent", "outline"), LegendEntry(say(_CONFIRMED), "accent", "area")),
        definitions=_DEFINITIONS,
    )


def _found(choices: Choices) -> Frontier | None:
    try:
        found = msgspec.json.decode(choices.get("found") or "{}", type=dict[str, Frontier])
    except msgspec.DecodeError:
        return None
    return found.get(choices.get("grow", ""))


def _name(row: Row) -> Words:
    """The technique in words; slot and name belong together: "activations" alone says nothing."""
    return row.technique.replace("=", " ").replace("_", " ") if row.technique else say(tr_mark("as it is"))


def _plot(found: Frontier) -> Plot:
    rows = found.rows[::-1]
    labels = tuple(_name(row) for row in rows)
    predicted = np.array([row.predicted_value or 0 for row in rows], dtype=np.float64)
    confirmed = np.array([(row.value or 0) if row.measured_bytes is not None else 0 for row in rows], dtype=np.float64)
    ends, colours = np.maximum(predicted, confirmed), ("accent",) * len(rows)
    title, unit = _AXES[found.grow]
    layers = (
        Bars("predicted", labels, np.zeros(len(rows)), predicted, colours, label=say(_PREDICTED), hollow=True),
        Bars("confirmed", labels, np.zeros(len(rows)), confirmed, colours, label=say(_CONFIRMED)),
        Bars("figures", labels, ends, ends, ("text",) * len(rows), tuple(_said(row) for row in rows)),
    )
    x = Axis(say(title), unit, low=0.0, high=float(max(ends.max(), 1.0)) * _ROOM, whole=True)
    y = Axis(low=-0.5, high=len(rows) - 0.5, ticks=tuple((float(i), name) for i, name in enumerate(labels)))
    return Plot(found.grow, x, y, layers)


def _said(row: Row) -> Words:
    """What stands at the end of a bar: the value, and how much is left."""
    if row.value is None and row.predicted_value is not None:
        return say(tr_mark("{value} did not fit"), value=_count(row.predicted_value))
    if row.value is None and row.predicted_bytes is not None:
        return say(tr_mark("does not fit: needs {size}"), size=size(row.needed_bytes or row.predicted_bytes))
    if row.value is None:
        return say(tr_mark("not possible")) if row.reason else "…"
    if row.headroom_bytes is None:
        return _count(row.value)
    return say(tr_mark("{value} · {left} left"), value=_count(row.value), left=size(row.headroom_bytes, 2))


def _sentence(found: Frontier) -> Text:
    first = found.rows[0]
    said: list[Words] = [found.name, say(
        tr_mark("{value} within {limit}"), value=_count(first.value),
        limit=UNKNOWN if found.capacity_bytes is None else size(found.capacity_bytes))]
    best = max(found.rows, key=lambda row: row.value or 0)
    if best is not first and best.value:
        times = f" (×{number(best.value / first.value, 2)})" if first.value else ""
        said.append(say(tr_mark("{value} with {technique}{times}"), value=_count(best.value), times=times,
                        technique=_name(best)))
    return join(said)


def _notes(found: Frontier) -> tuple[Words, ...]:
    """What ends a row other than memory, or hinders it: each reason once."""
    reasons: dict[str, list[Words]] = {}
    for row in found.rows:
        if row.reason:
            reasons.setdefault(row.reason, []).append(_name(row))
    said = [say(tr_mark("{techniques}: {reason}"), techniques=join(names, ", "), reason=reason)
            for reason, names in reasons.items()]
    if any(row.level == "instant" for row in found.rows):
        said.append(say(tr_mark("closed forms; not every step was traced")))
    return tuple(said)


def _table(found: Frontier) -> Table:
    columns = (
        Column(say(tr_mark("technique")), number=False), Column(say(dict(GROW.options)[found.grow])),
        Column("×"), Column(say(_PREDICTED)), Column(say(tr_mark("95 of 100 within"))),
        Column(say(tr_mark("measured"))), Column(say(tr_mark("left"))), Column(say(tr_mark("why")), number=False),
    )
    base = found.rows[0].value
    return Table(found.grow, columns, tuple(_entry(row, base) for row in found.rows))


def _entry(row: Row, base: int | None) -> tuple[Words, ...]:
    times = number(row.value / base, 2) if row.value and base else UNKNOWN
    left = UNKNOWN if row.headroom_bytes is None else size(abs(row.headroom_bytes))
    if row.headroom_bytes is not None and row.headroom_bytes < 0:
        left = MINUS + left
    return (
        _name(row), _count(row.value), times, UNKNOWN if row.predicted_bytes is None else size(row.predicted_bytes),
        off(row.error_95_percent), UNKNOWN if row.measured_bytes is None else size(row.measured_bytes), left,
        row.reason,
    )


def _count(value: int | None) -> str:
    return UNKNOWN if value is None else f"{value:,}"


EXHIBIT = ExhibitType(
    name="frontier", title=_TITLE, function=frontier, order=78, needs=frozenset(), choices=(GROW, _VIEW),
)
