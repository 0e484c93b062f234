"""A table as CSV: UTF-8, a heading line, commas, missing readings empty; no text is a formula for a spreadsheet."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")  # and the wide ones
_AT_ONCE = 2000  # rows


def write_csv(file: BinaryIO, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write a table; the number of its rows."""
    count = 0
    lines: Iterator[Sequence[Any]] = iter(rows)
    _put(file, [columns])
    while piece := list(itertools.islice(lines, _AT_ONCE)):
        _put(file, piece)
        count += len(piece)
    return count


def _put(file: BinaryIO, rows: Iterable[Sequence[Any]]) -> None:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([cell(value) for value in row] for row in rows)
    file.write(text.getvalue().encode("utf-8", "backslashreplace"))


def cell(value: Any) -> Any:
    """A value as it may stand in a table that somebody opens with a spreadsheet.

    Text that would be taken for a formula begins with an apostrophe. Numbers have as many digits as they need to be
    the same when they are read.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        # Python puts quotation marks around a line feed; a return without them would begin a row of a spreadsheet.
        text = value.replace("\0", "\N{REPLACEMENT CHARACTER}").replace("\r\n", "\n").replace("\r", "\n")
        return f"'{text}" if text.startswith(_FORMULA) else text
    return "" if value is None else value
