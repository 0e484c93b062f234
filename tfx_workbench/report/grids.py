"""Tables of exhibits as tables of a report: with their colours, and no longer than a reader reads."""

from __future__ import annotations

from typing import cast

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.exhibits.exhibit import Table
from tfx_workbench.exhibits.text import Words, say
from tfx_workbench.report.document import Cell, Grid, Head, Tone

MOST_ROWS = 24
_TONES = ("better", "worse", "warning", "muted")


def as_grid(table: Table) -> Grid:
    """The first rows of a table, and how many more there are."""
    rows = tuple(
        tuple(Cell(words, tone=_tone(table, r) if c == 0 else "") for c, words in enumerate(row))
        for r, row in enumerate(table.rows[:MOST_ROWS])
    )
    more = len(table.rows) - len(rows)
    notes: tuple[Words, ...] = ()
    if more > 0:
        notes = (say(tr_mark("{count} more rows are not shown here; the CSV of this exhibit has them."), count=more),)
    return Grid("", tuple(Head(c.title, c.number) for c in table.columns), rows, notes)


def _tone(table: Table, row: int) -> Tone:
    colour = table.colours[row] if table.colours else ""
    return cast(Tone, colour) if colour in _TONES else ""
