"""Closing a run file that nobody writes any more, so that it is one file again; copying one at any time."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

from tfx_engine.runfile import reserve, spool
from tfx_engine.runfile.connect import change_journal_mode, connect
from tfx_engine.runfile.errors import RunFileError, failure, write_failure
from tfx_engine.runfile.header import check_file, is_sealed
from tfx_engine.runfile.lock import RunLock
from tfx_engine.runfile.outcome import INTERRUPTED, write_state
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.store import beside, lies_beside
from tfx_engine.runfile.unfinished import new_run_file, sweep_of

_TAKEN_ANEW_S = 0.5
_PATIENCE_MS = 1000  # with readers, for each of the two things that want them out of the way


def seal(path: str | os.PathLike[str]) -> bool:
    """Under the lock: record `interrupted` where it says `running`, move the log into the file, leave one file.

    True where something was done; False where a live process holds the lock, or the file is sealed already. Raises
    `RunFileError` where it is no run file or cannot be written.
    """
    path = Path(path)
    check_file(path)
    if is_sealed(path) and spool.recorded_at(path) == path and not _says_running(path):
        return False
    if not lies_beside(path, ".lock") and _says_running(path):
        # A writer that was killed leaves its lock's file; from under one that lives it was taken, who takes it anew.
        time.sleep(_TAKEN_ANEW_S)
    try:
        lock = RunLock(path)
    except RunFileError as error:
        if error.problem.code == "in-use":
            return False
        raise
    with lock:
        try:
            local = spool.recorded_at(path)
            with closing(connect(local)) as connection:
                seal_connection(connection, path)
            if is_sealed(local):  # else a reader kept it from being: another time
                spool.end(local, path)
        except sqlite3.Error as error:
            raise write_failure(error, path) from None
    return True


def _says_running(path: Path) -> bool:
    with closing(RunReader(path)) as reader:
        return reader.info().recorded_status == "running"


def seal_connection(connection: sqlite3.Connection, path: Path) -> None:
    """Seal through the connection of whoever holds the lock; letters to a run that has ended are thrown away.

    A reader in the middle of something for seconds keeps the log from being emptied: it then stays beside the file,
    nothing is lost, and the next `seal` ends the matter.
    """
    reserve.give_up(path)  # first: on a full disk it is the room for what follows
    connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
    connection.execute("PRAGMA synchronous = FULL")
    status = connection.execute("SELECT status FROM run WHERE id = 1").fetchone()[0]
    if status == "running":
        connection.execute("BEGIN IMMEDIATE")
        write_state(connection, "interrupted", INTERRUPTED, None)
        connection.execute("COMMIT")
    if status != "queued":
        beside(path, ".mail").unlink(missing_ok=True)
        sweep_of(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if change_journal_mode(connection, "delete", patience_s=_PATIENCE_MS / 1000):
        file = connection.execute("PRAGMA database_list").fetchone()[2]
        _drop_journal(connection, file)
        _drop_empty_log(Path(file))


def _drop_empty_log(file: Path) -> None:
    """Take away an empty log, which SQLite takes for none: a reader made it while the file was put back, and a kill
    came between.
    """
    log = beside(file, "-wal")
    if log.is_file() and log.stat().st_size == 0:
        log.unlink()
        beside(file, "-shm").unlink(missing_ok=True)


def _drop_journal(connection: sqlite3.Connection, file: str) -> None:
    """Take away a journal in which there is nothing to take back, left by a kill: SQLite does so when it writes."""
    if lies_beside(file, "-journal"):
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute(f"PRAGMA user_version = {version}")


def copy_run(path: str | os.PathLike[str], target: str | os.PathLike[str]) -> None:
    """A complete, sealed copy of a run file, also of one that is being written, through SQLite's backup.

    Raises `RunFileError`: the target exists or cannot be written, the source cannot be read.
    """
    target = Path(target)
    if target.exists():
        raise failure("exists", target)
    with (
        new_run_file(target) as half,
        closing(RunReader(path)) as reader,
        closing(sqlite3.connect(half)) as connection,
    ):
        reader.backup(connection, target)
        change_journal_mode(connection, "delete")
