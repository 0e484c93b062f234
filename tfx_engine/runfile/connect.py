"""The one way in which the writing side opens a run file. Readers have their own, in `reader`."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from tfx_engine.runfile.errors import primary_code
from tfx_engine.runfile.header import check_file
from tfx_engine.runfile.suspicion import check_schema, harden

_BUSY_MS = 5000
_JOURNAL_LIMIT = 2**24  # bytes that the write-ahead log keeps on disk after a checkpoint
_TRY_FOR_S = 3.0  # to change the journal mode, which no reader must be looking on at


def connect(path: str | os.PathLike[str]) -> sqlite3.Connection:
    """A connection that may write to a run file; every statement is its own transaction unless one is begun.

    Raises `RunFileError` where the file is none, newer, cut off, or holds what no run file does, and sqlite3.Error.
    """
    check_file(path)
    uri = f"{Path(path).resolve().as_uri()}?mode=rw"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
    try:
        harden(connection)
        for pragma in (
            f"busy_timeout = {_BUSY_MS}", f"journal_size_limit = {_JOURNAL_LIMIT}", "foreign_keys = ON",
            "synchronous = NORMAL",
        ):
            connection.execute(f"PRAGMA {pragma}")
        check_schema(connection, Path(path), int(connection.execute("PRAGMA user_version").fetchone()[0]))
    except BaseException:
        connection.close()
        raise
    return connection


def change_journal_mode(connection: sqlite3.Connection, mode: str, patience_s: float = _TRY_FOR_S) -> bool:
    """Set the journal mode as soon as no reader is in the middle of something; whether it could be done in time."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            now = connection.execute(f"PRAGMA journal_mode = {mode}").fetchone()[0]
        except sqlite3.OperationalError as error:
            if primary_code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
                raise
            now = ""
        if now == mode:
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
