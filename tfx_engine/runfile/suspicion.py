"""What a run file may hold before it is believed: the tables of `schema.sql`, defined as they are there.

SQLite acts on what a file defines: triggers, views, virtual tables, generated columns, indexes on expressions, checks
and defaults are programs that somebody else wrote. None of them runs: only definitions that ours has are accepted.
Source: https://www.sqlite.org/security.html
"""

from __future__ import annotations

import functools
import re
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tfx_engine.runfile.errors import failure
from tfx_engine.runfile.tables import TABLES, schema
from tfx_engine.runfile.upgrade import tables_of

_LIMITS = {  # our own statements are shorter, flatter and fewer
    sqlite3.SQLITE_LIMIT_LENGTH: 2**29,  # bytes of one value
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 20_000, sqlite3.SQLITE_LIMIT_COLUMN: 100, sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 50,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 4, sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 16, sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 100, sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
PRAGMAS = ("trusted_schema = OFF", "cell_size_check = ON", "mmap_size = 0")
# SQLite's own: texts and names in any of its quotation marks, comments, brackets, words.
_QUOTED = r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`[^`]*`|\[[^\]]*\]"""
_TOKEN = re.compile(_QUOTED + r"|--[^\n]*|/\*.*?\*/|[(),;]|[ \t\n\f\r]+|[\w.]+|.", re.DOTALL)
_good: dict[int, tuple[Any, ...]] = {}  # by version: the last schema that held nothing but what it may
_SHOWN = 60  # characters of a definition in a sentence


def harden(connection: sqlite3.Connection) -> None:
    """What any connection to a run file is told before it looks at its schema. Raises sqlite3.Error."""
    for limit, most in _LIMITS.items():
        connection.setlimit(limit, most)
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    if sys.version_info >= (3, 12):
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, True)
        connection.setconfig(sqlite3.SQLITE_DBCONFIG_ENABLE_TRIGGER, False)


def check_schema(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Raise `RunFileError` where a file holds what could act on being read or written, or lacks a table of its version.

    A schema that was found good is known again by its bytes: a thousand runs of a store have the same.
    """
    before, connection.text_factory = connection.text_factory, bytes
    schema = tuple(connection.execute("SELECT type, name, sql FROM sqlite_schema").fetchall())
    connection.text_factory = before
    if _good.get(version) == schema:
        return
    found: set[str] = set()
    for kind, name, sql in (map(_as_text, row) for row in schema):
        if kind == "index" and not sql:  # of a key
            continue
        if kind != "table":
            raise failure("foreign-schema", path, kind=_shown(str(kind)), name=_shown(str(name)))
        if not str(sql).upper().startswith("CREATE TABLE"):
            raise failure("foreign-schema", path, kind="virtual table", name=_shown(str(name)))
        table = str(name).lower()
        if table in TABLES:
            if strange := _strange(table, str(sql)):
                raise failure("foreign-schema", path, kind=f"definition in {table}", name=_shown(strange))
            found.add(table)
    if lacking := [name for name in tables_of(version) if name not in found]:
        raise failure("damaged", path, error=f"there is no table {lacking[0]}")
    _good[version] = schema


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else "" if value is None else str(value)


def _shown(text: str) -> str:
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return plain if len(plain) <= _SHOWN else plain[: _SHOWN - 1] + "…"


@functools.lru_cache(maxsize=256)
def _strange(table: str, sql: str) -> str:
    """The first definition of a table that ours does not have; empty where all are. Fewer are an older version."""
    if not sql.isascii():
        return sql
    known = _known()[table]
    return next((definition for definition in _definitions(_words(sql)) if definition not in known), "")


@functools.cache
def _known() -> dict[str, frozenset[str]]:
    """The definitions of each table of `schema.sql`."""
    statements = " ".join(_words(schema())).split(";")
    tables = [words for words in map(str.split, statements) if words[:2] == ["create", "table"]]
    return {words[2]: frozenset({*_definitions(words), "", "without rowid"}) for words in tables}


def _words(sql: str) -> list[str]:
    """Without comments, in lower case."""
    return [word.lower() for word in _TOKEN.findall(sql) if not word.isspace() and not word.startswith(("--", "/*"))]


def _definitions(words: Sequence[str]) -> Iterator[str]:
    """Columns and constraints of a CREATE TABLE, and what stands behind them."""
    if words[:2] != ["create", "table"] or words[3:4] != ["("]:
        yield " ".join(words[:4])
        return
    depth, piece = 1, list[str]()
    for word in words[4:]:
        depth += (word == "(") - (word == ")")
        if (word == "," and depth == 1) or (word == ")" and depth == 0):
            yield " ".join(piece)
            piece = []
        elif word != ";":
            piece.append(word)
    yield " ".join(piece)
