"""Where a run is being written: a file that is taken away from under its writer is put back, with everything in it.

Whoever has a removed, moved or replaced file open goes on writing, into what has no name any more; SQLite does not look
(https://sqlite.org/howtocorrupt.html, "Unlinking or renaming a database file while in use"). But its connection can
still read all of it. So the writer looks whether the files are those that it opened, before each batch.
"""

from __future__ import annotations

import secrets
import sqlite3
from contextlib import closing
from pathlib import Path

from tfx_engine.runfile import reserve
from tfx_engine.runfile.connect import change_journal_mode, connect
from tfx_engine.runfile.errors import failure, os_failure
from tfx_engine.runfile.store import beside, make_store
from tfx_engine.runfile.unfinished import new_run_file
from tfx_engine.runfile.upgrade import bring_up_to_date

_OPEN = ("", "-wal", "-shm")  # what SQLite has open of a run
_SIDE = ("-wal", "-shm", "-journal")


class Place:
    """A run's file and the one connection to it, which is another one after `put_back`."""

    def __init__(self, file: Path) -> None:
        """Open an existing file and bring it up to date. Raises `RunFileError` and sqlite3.Error."""
        self._file = file
        self.connection = _open(file)
        self._marks = self._look()
        self._ours = self._marks[0]

    def is_lost(self) -> bool:
        """Whether the file or its log is gone, or another one, since it was opened; no where nobody may look."""
        try:
            return any(mark not in (None, now) for mark, now in zip(self._marks, self._look(), strict=True))
        except OSError:  # a disk that fails, a folder that was closed to us: what is open can be written all the same
            return False

    def put_back(self) -> str:
        """Write the run anew to where it was, and go on with that; returns the new name of what lay there instead.

        A file that was moved is left complete, as of now. Raises `RunFileError` and sqlite3.Error where nothing can be
        written there: the connection then is as it was, for another attempt.
        """
        make_store(self._file.parent)
        with new_run_file(self._file) as half:
            with closing(sqlite3.connect(half)) as copy:
                self.connection.backup(copy)
                change_journal_mode(copy, "delete")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            for suffix in _SIDE:  # of the file that was: the new one must not be read with them
                beside(self._file, suffix).unlink(missing_ok=True)
            name = self._make_way()
        try:
            self._ours = _mark(self._file)
            self._open_anew()
        except OSError as error:
            raise os_failure(error, self._file) from None
        return name

    def _make_way(self) -> str:
        """Give what is not ours in our place another name; returns that, "" where there is nothing."""
        if _mark(self._file) in (None, self._ours):
            return ""
        name = f"{self._file.stem}-found-{secrets.token_hex(2)}{self._file.suffix}"
        self._file.rename(self._file.with_name(name))
        return name

    def _open_anew(self) -> None:
        fresh = _open(self._file)
        self.connection.close()
        self.connection = fresh
        reserve.make(self._file)
        self._marks = self._look()

    def _look(self) -> list[int | None]:
        return [_mark(beside(self._file, suffix)) for suffix in _OPEN]


def _open(file: Path) -> sqlite3.Connection:
    connection = connect(file)
    try:
        if not change_journal_mode(connection, "wal"):
            raise failure("in-use", file, who="")
        bring_up_to_date(connection)  # this reads: from here on there is a log
    except BaseException:
        connection.close()
        raise
    return connection


def _mark(file: Path) -> int | None:
    """What tells a file from another of its name, as SQLite itself does; None where there is none. Raises OSError."""
    try:
        return file.lstat().st_ino
    except (FileNotFoundError, NotADirectoryError):
        return None
