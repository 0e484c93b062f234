"""Opening a run file for reading, suspiciously: it may be live, sealed, on a read-only disk, damaged, or made to harm.

A connection lives as long as one snapshot (0.15 ms to open): a reader that kept one would keep the writer from sealing
the file, and Windows from deleting it.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

from tfx_engine.runfile.errors import RunFileError, failure, primary_code, words
from tfx_engine.runfile.header import Header, check_file
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.private_copy import copy_whole
from tfx_engine.runfile.spool import recorded_at
from tfx_engine.runfile.store import lies_beside
from tfx_engine.runfile.suspicion import check_schema, harden
from tfx_engine.runfile.upgrade import check_version, make_current

_BUSY_MS = 2000
_PRAGMAS = ("query_only = ON", f"busy_timeout = {_BUSY_MS}")
_STATEMENT_S = 20.0  # of processor: a damaged tree can lead in circles, and no statement of ours takes this long
_CHECK_EVERY = 100_000  # virtual machine instructions
_NEEDS_TO_WRITE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM)


class Opener:
    """Opens connections to one path, remembering what it has already checked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._checked: tuple[tuple[int, int], int] | None = None  # identity of the file, version of its schema
        self._copy: tempfile.TemporaryDirectory[str] | None = None
        self._deadline = 0.0

    def open(self) -> sqlite3.Connection:
        """A connection in a read transaction. Raises `RunFileError`, or sqlite3.Error for what `reason` words."""
        path = recorded_at(self.path)
        header = check_file(path)
        try:
            return self._begin(_uri(path, "ro&immutable=1" if _is_immutable(path, header) else "ro"), header)
        except sqlite3.OperationalError as error:
            # Its log can only be read with a file beside it, which cannot be made here; or a write that was cut off has
            # to be taken back first, which is not for a reader to do.
            # (Where a quota is used up or a disk is full, the same is an I/O error.)
            if primary_code(error) not in (*_NEEDS_TO_WRITE, sqlite3.SQLITE_IOERR) or is_locked(self.path):
                raise
        return self._begin(_uri(self._private_copy(), "rw"), header)

    def _begin(self, uri: str, header: Header) -> sqlite3.Connection:
        connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False, cached_statements=0)
        try:
            connection.text_factory = _text
            connection.set_progress_handler(self._is_overdue, _CHECK_EVERY)
            self.allow_time()
            harden(connection)
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("BEGIN")
            schema_version = connection.execute("PRAGMA schema_version").fetchone()[0]
            # Not the header's: a file that was brought up to date has that in its log until the next checkpoint.
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if self._checked != (header.identity, schema_version):
                check_version(version, self.path)
                check_schema(connection, self.path, version)
                self._checked = (header.identity, schema_version)
            make_current(connection, version)
        except BaseException:
            connection.close()
            raise
        return connection

    def allow_time(self) -> None:
        """Start the clock of a statement: this thread's own, which stands while the process is stopped or waits."""
        self._deadline = time.thread_time() + _STATEMENT_S

    def _is_overdue(self) -> int:
        return int(time.thread_time() > self._deadline)

    def _private_copy(self) -> Path:
        """The file and its log, where SQLite may put beside them what it needs."""
        if self._copy is None:
            self._copy = tempfile.TemporaryDirectory(prefix="tfx-read-")
        target = Path(self._copy.name) / "run.tfx"
        try:
            copy_whole(self.path, target)
        except OSError as error:
            raise failure("unreadable", self.path, error=words(error)) from None
        return target

    def close(self) -> None:
        """Take a private copy away."""
        if self._copy is not None:
            self._copy.cleanup()
            self._copy = None


def _is_immutable(path: Path, header: Header) -> bool:
    is_alone = not header.is_wal and not lies_beside(path, "-wal")
    return is_alone and not os.access(path.parent, os.W_OK)


def _uri(path: Path, mode: str) -> str:
    return f"{path.resolve().as_uri()}?mode={mode}"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def reading_failure(error: Exception, path: Path) -> RunFileError:
    """What keeps a file from being read, as a `RunFileError`."""
    code = primary_code(error) if isinstance(error, sqlite3.Error) else 0
    # Full: of the disk where SQLite sorts.
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, *_NEEDS_TO_WRITE):
        return failure("unreadable", path, error=words(error))
    if code == sqlite3.SQLITE_NOTADB:
        return failure("not-sqlite", path)
    if code == sqlite3.SQLITE_INTERRUPT:
        return failure("damaged", path, error=f"a reading did not end in {_STATEMENT_S:.0f} s")
    return failure("damaged", path, error=words(error))


def as_words(value: Any) -> str:
    """A text of the file, whatever a damaged one holds in its place."""
    return value if isinstance(value, str) else "" if value is None else str(value)


def as_whole(value: Any) -> int:
    """A whole number of the file. Raises ValueError where a damaged one holds something else in its place."""
    if not isinstance(value, int):
        raise ValueError(f"{str(value)[:40]!r} stands where a whole number should")
    return value
