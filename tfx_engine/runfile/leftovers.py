"""What SQLite can still read of a damaged file, row by row, each value of the type that its column has."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from tfx_engine.runfile.arrays import unpack
from tfx_engine.runfile.tables import LAYER_COLUMNS

Row = tuple[Any, ...]
_TABLE_S = 20.0  # for reading one table of a tree that may lead in circles
_CHECK_EVERY = 100_000  # virtual machine instructions
_WITHOUT_ROWID = frozenset({"fact", "missing", "prediction"})
_ARRAYS = frozenset({"category_peak", "timeline_ms", "timeline", "weights", *LAYER_COLUMNS})
_JSON = frozenset({"args", "phases", "slots", "value", "config_json"})
_KINDS: dict[str, tuple[type, ...]] = {"INTEGER": (int,), "REAL": (int, float), "TEXT": (str,), "BLOB": (bytes,)}


class Column(NamedTuple):
    """A column of a table of this version."""

    name: str
    kind: str  # as declared
    is_optional: bool


def columns_of(connection: sqlite3.Connection, table: str) -> list[Column]:
    """The columns of a table that hold something (generated ones do not)."""
    found = connection.execute(f"PRAGMA table_info({table})").fetchall()
    return [Column(str(name), str(kind), not (needed or key)) for _, name, kind, needed, _, key in found]


class Leftovers:
    """Reads a damaged database. `damaged`: the tables of which something could not be read."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.damaged: set[str] = set()
        self._connection = connection
        self._deadline = 0.0
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        connection.set_progress_handler(lambda: int(time.thread_time() > self._deadline), _CHECK_EVERY)

    def rows(self, table: str, columns: Sequence[Column]) -> Iterator[Row]:
        """The rows of a table: values of the columns in their order, None where one is optional and not to be had."""
        known = self._known(table)
        there = [column.name for column in columns if column.name in known]
        if not there:
            self.damaged.add(table)
            return
        for found in self._both_ends(table, there):
            given = dict(zip(there, found, strict=True))
            values = tuple(_fitting(table, column, given.get(column.name)) for column in columns)
            pairs = list(zip(columns, values, strict=True))
            if any(value is None and given.get(column.name) is not None for column, value in pairs):
                self.damaged.add(table)
            if all(value is not None or column.is_optional for column, value in pairs):
                yield values
            else:
                self.damaged.add(table)

    def _known(self, table: str) -> set[str]:
        """The columns that the file has of a table: an older file has fewer, or not the table."""
        self._deadline = time.thread_time() + _TABLE_S
        try:
            return {column.name for column in columns_of(self._connection, table)}
        except sqlite3.Error:
            return set()

    def _both_ends(self, table: str, names: Sequence[str]) -> list[Row]:
        """From the first row to the first page that cannot be read, and from the last row back to the last of them."""
        key = "key" if table in _WITHOUT_ROWID else "rowid"
        sql = f"SELECT {key}, {', '.join(names)} FROM {table} ORDER BY {key}"
        first, is_whole = self._in_order(sql, 1)
        if is_whole:
            return [row[1:] for row in first]
        self.damaged.add(table)
        last, _ = self._in_order(f"{sql} DESC", -1)
        seen = {row[0] for row in first}
        return [row[1:] for row in (*first, *(row for row in reversed(last) if row[0] not in seen))]

    def _in_order(self, sql: str, sign: int) -> tuple[list[Row], bool]:
        """The rows of a SELECT as long as their keys go on in one direction, and whether that was all of them."""
        self._deadline = time.thread_time() + _TABLE_S
        rows: list[Row] = []
        try:
            for row in self._connection.execute(sql):
                if rows and not (row[0] > rows[-1][0] if sign > 0 else row[0] < rows[-1][0]):
                    return rows, False
                rows.append(row)
        except (sqlite3.Error, TypeError, OverflowError):
            return rows, False
        return rows, True


def _fitting(table: str, column: Column, value: Any) -> Any:
    """The value where it can be one of that column, else None."""
    is_of_kind = isinstance(value, _KINDS[column.kind])
    if not is_of_kind:  # None neither
        return None
    try:
        if column.name in _ARRAYS or (table, column.name) == ("attention", "tokens"):
            unpack(value)
        elif column.name in _JSON and isinstance(value, str) and table != "annotation":
            msgspec.json.decode(value)
    except (ValueError, RecursionError, msgspec.MsgspecError):
        return None
    return value
