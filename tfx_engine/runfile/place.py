"""Where a run is being written: a file that is taken away from under its writer is put back, with everything in it.

Whoever has a removed, moved or replaced file open goes on writing, into what has no name any more; SQLite does not look
(https://sqlite.org/howtocorrupt.html, "Unlinking or renaming a database file while in use"). But its connection can
still read all of it. So the writer looks whether the files are those that it opened, before each batch.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

from tfx_engine.runfile import reserve
from tfx_engine.runfile.connect import change_journal_mode, connect
from tfx_engine.runfile.errors import failure, os_failure
from tfx_engine.runfile.store import beside, make_store
from tfx_engine.runfile.unfinished import new_run_file
from tfx_engine.runfile.upgrade import bring_up_to_date

MOST_FOUND = 5  # files of others to which way is made; whoever puts one there every time would fill the disk
_REST = 20  # times as long as putting back took nothing is put back again
_LONGEST_REST_S = 5.0
_OPEN = ("", "-wal", "-shm")  # what SQLite has open of a run
_SIDE = ("-wal", "-shm", "-journal")
_MOVED_BUSY_MS = 1000


class Place:
    """A run's file and the one connection to it, which is another one after `put_back`."""

    def __init__(self, file: Path) -> None:
        """Open an existing file and bring it up to date. Raises `RunFileError` and sqlite3.Error."""
        self._file = file
        self._put: int | None = None  # what was put there last
        self._found = 0
        self._rests_until = 0.0
        self.connection = _open(file)
        self._marks = _look(file)

    def is_lost(self) -> bool:
        """Whether the file or its log is gone, or another one, since it was opened; no where nobody may look."""
        if os.name == "nt":  # which lets nobody touch a file that is open; and file systems there make up identities
            return False
        try:
            return None in self._marks or _look(self._file) != self._marks
        except (OSError, RuntimeError):  # a disk that fails, a folder that is closed to us, a loop of links
            return False  # what is open can be written all the same

    def put_back(self) -> str:
        """Write the run anew to where it was, and go on with that; returns the new name of what lay there instead.

        Raises `RunFileError` and sqlite3.Error where that is not possible; everything is then still in the connection,
        for another attempt.
        """
        time.sleep(max(0.0, self._rests_until - time.monotonic()))
        begun = time.monotonic()
        make_store(self._file.parent)
        self._refuse_without_room()
        with new_run_file(self._file) as half:
            with closing(sqlite3.connect(half)) as copy:
                self.connection.backup(copy)
                change_journal_mode(copy, "delete")
            name = self._make_way()
            self._put = _mark(half)
        try:
            # Not before: were the writer killed in between, a file that is there would lack its log.
            for suffix in _SIDE:
                beside(self._file.resolve(), suffix).unlink(missing_ok=True)
            self._move_over()
        except OSError as error:
            raise os_failure(error, self._file) from None
        finally:
            took = time.monotonic() - begun
            self._rests_until = begun + took + min(_LONGEST_REST_S, _REST * took)
        return name

    def keep_reserve(self) -> None:
        """Keep room beside the file for a run's last words."""
        reserve.make(self._file)

    def _refuse_without_room(self) -> None:
        """Else a disk that is too small would be filled and emptied at every attempt."""
        pages, size = (self.connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
        try:
            free = shutil.disk_usage(self._file.parent).free
        except OSError as error:
            raise os_failure(error, self._file) from None
        if free < pages * size:
            raise failure("no-space", self._file)

    def _make_way(self) -> str:
        """Give a file that is not ours in our place another name, with its log; returns it, "" where there is none."""
        name = ""
        if _mark(self._file) not in (None, self._marks[0], self._put):
            if self._found >= MOST_FOUND:
                raise failure("pushed-out", self._file)
            self._found += 1
            name = f"{self._file.stem}-found-{secrets.token_hex(2)}{self._file.suffix}"
        for suffix in ("-wal", "-journal"):  # which would be taken for those of the file that comes there now
            side = beside(self._file, suffix)
            if _mark(side) in (None, self._marks[1]):
                continue
            if name:
                side.rename(beside(self._file.with_name(name), suffix))
            else:
                side.unlink(missing_ok=True)  # a reader has made it anew, empty
        if name:
            self._file.rename(self._file.with_name(name))
        return name

    def _move_over(self) -> None:
        fresh = _open(self._file)
        marks = _look(self._file)
        if marks[0] != self._put:  # taken away again meanwhile
            fresh.close()
            raise failure("pushed-out", self._file)
        old, self.connection, self._marks = self.connection, fresh, marks
        if sys.version_info >= (3, 12):
            old.setconfig(sqlite3.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, True)  # SQLite would delete the log by its name
        with suppress(sqlite3.Error):  # a file that was moved is complete by itself then, unless a reader is in it
            old.execute(f"PRAGMA busy_timeout = {_MOVED_BUSY_MS}")
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        old.close()
        self.keep_reserve()


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


def _look(file: Path) -> list[int | None]:
    real = file.resolve()  # SQLite's own files lie beside what a link leads to
    return [_mark(beside(real, suffix)) for suffix in _OPEN]


def _mark(file: Path) -> int | None:
    """What tells a file from another of its name, as SQLite itself does; None where there is none. Raises OSError."""
    try:
        return file.stat().st_ino
    except (FileNotFoundError, NotADirectoryError):
        return None
