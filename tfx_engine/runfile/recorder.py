"""The writer's thread: the single connection, one transaction for each batch, patience with a full disk."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeGuard

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.runfile import conversion
from tfx_engine.runfile.buffer import Buffer, Item
from tfx_engine.runfile.create import utc_now
from tfx_engine.runfile.errors import RunFileError, failure, primary_code, words, write_failure
from tfx_engine.runfile.outcome import write_state
from tfx_engine.runfile.place import Place
from tfx_engine.runfile.rollup import Rollups, RollupState, reading
from tfx_engine.runfile.tables import insert
from tfx_engine.runfile.texts import json_text

COMMIT_EVERY_S = 0.15  # a commit is on disk at most 250 ms after its rows were handed over
RETRY_EVERY_S = 0.5
# Refusals of SQLite that the next attempt may not meet: no space, no permission, I/O error, busy, no memory, corrupt.
_TRANSIENT = frozenset({
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_INTERRUPT,
})
_BAD_VALUES = (TypeError, ValueError, OverflowError)
Position = tuple[int, RollupState]  # before a transaction: the newest seq, the open buckets
_RESUMED = tr_mark(
    "The run file could not be written for {seconds:.1f} s ({error}). What was measured meanwhile is in it."
)
_UNWRITTEN = tr_mark("What was measured last is not in this file, which {error}")
_PUT_BACK = tr_mark(
    "The run file, or its log, was taken away while it was written. It was put back with everything in it."
)
_PUT_BACK_FOR = tr_mark(
    "Another file took the place of the run file while it was written, and is now called {name}: delete it if you do "
    "not need it. The run file was put back with everything in it."
)
_LOCKED_AGAIN = tr_mark("The lock beside the run file was taken away while it was written. It was taken anew.")
_REFUSED = tr_mark("A row of {table} could not be stored: {error}")


class Recorder:
    """Writes batches until it is told to finish. `error` is what keeps it from writing now, if anything does."""

    def __init__(
        self, place: Place, path: Path, buffer: Buffer, t_ms: Callable[[], float],
        on_error: Callable[[RunFileError | None], None] | None = None, give_room: Callable[[], bool] = lambda: False,
        keep_lock: Callable[[], bool] = lambda: False,
    ) -> None:
        """`give_room`: makes room on a full disk. `keep_lock`: takes the run's lock anew where its file is gone."""
        self.error: RunFileError | None = None
        self._place, self._path, self._buffer, self._keep_lock = place, path, buffer, keep_lock
        self._t_ms, self._on_error, self._give_room = t_ms, on_error, give_room
        self._failing_since = 0.0
        self._state: tuple[Any, ...] | None = None  # the newest that was written here
        self._is_state_doubtful = False
        self._unsaid: list[tuple[Item, RunFileError | None]] = []  # of what was put back
        self._rollups = Rollups()
        self._rollups.resume(place.connection)
        self._seq: int = place.connection.execute("SELECT COALESCE(MAX(seq), 0) FROM step").fetchone()[0]
        self._patience: Callable[[], float] | None = None  # once it is to finish
        self._finishing_since = 0.0
        self._thread = threading.Thread(target=self._run, name="run-file-writer", daemon=True)
        self._thread.start()

    def finish(self, patience: Callable[[], float]) -> None:
        """Write what is left and end the thread; a disk that stays full is given `patience()` seconds.

        After them the newest state is written all the same where `give_room` makes room for it.
        """
        self._finishing_since = time.monotonic()
        self._patience = patience
        self._buffer.hurry()
        self._thread.join()

    @property
    def is_alive(self) -> bool:
        """Whether the thread is there; it ends with `finish`, or by a fault of the program's own."""
        return self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._write_until_told()
        except BaseException as error:
            self.error = failure("write-failed", self._path, error=f"{type(error).__name__}: {error}")
            raise  # threading prints it

    def _write_until_told(self) -> None:
        while True:
            is_last = self._patience is not None
            batch = self._buffer.take(0 if is_last else COMMIT_EVERY_S)
            if not self._write_patiently(batch):
                self._write_last_words(batch)
                return
            if is_last and not batch:
                return

    def _write_patiently(self, batch: list[Item]) -> bool:
        """Write a batch, as often as it takes; False where `finish` was called and patience ran out."""
        is_careful = False
        while True:
            try:
                self._stay_in_place()
                if batch:
                    self._transaction(self._write_carefully if is_careful else self._write, batch)
                break
            except RunFileError as error:
                self._fails(error)
            except (sqlite3.Error, *_BAD_VALUES) as error:
                if not _is_transient(error):
                    if is_careful:
                        raise  # not a row's fault
                    is_careful = True
                    continue
                self._fails(write_failure(error, self._path))
            if self._patience is not None and time.monotonic() - self._finishing_since > self._patience():
                return False
            time.sleep(RETRY_EVERY_S)
        for item in batch:
            if item.done is not None:
                item.done.set()
        self._works_again()
        return True

    def _stay_in_place(self) -> None:
        """Put back what somebody took away of the run; raises `RunFileError` and sqlite3.Error where it cannot be."""
        self._stay_locked()
        if self._place.is_lost():
            other = self._place.put_back()
            template, args = (_PUT_BACK_FOR, {"name": other}) if other else (_PUT_BACK, {})
            said = failure("put-back-for", self._path, **args) if other else failure("put-back", self._path)
            self._unsaid.append((self._event("warning", "put-back", template, **args), said))
            self._stay_locked()  # its folder is there again
        while self._unsaid:
            event, said_too = self._unsaid[0]
            self._transaction(self._write, [event])
            del self._unsaid[0]
            if said_too and self._on_error:
                self._on_error(said_too)

    def _stay_locked(self) -> None:
        if self._keep_lock():
            self._is_state_doubtful = True
            self._unsaid.append((self._event("warning", "locked-again", _LOCKED_AGAIN), None))
        if self._is_state_doubtful:
            self._say_state_again()
            self._is_state_doubtful = False

    def _say_state_again(self) -> None:
        """Whoever saw the run without its lock may have recorded that its process had ended."""
        recorded = self._place.connection.execute("SELECT status FROM run WHERE id = 1").fetchone()
        if self._state is not None and recorded[0] != self._state[0]:
            self._transaction(self._write, [Item("state", self._state, 0)])
            self._place.keep_reserve()

    def _write_last_words(self, batch: list[Item]) -> None:
        """The newest state alone, before everything that waits: it is what a reader cannot do without."""
        while self._buffer:
            batch = [*batch, *self._buffer.take(0)]
        states = [item for item in batch if item.table == "state"]
        if not states or self.error is None or not self._give_room():
            return
        status, reason, identity = states[-1].values
        if status == "finished":  # its measurements are not here
            status = "failed"
        reason = f"{reason} {_UNWRITTEN.format(error=self.error.problem.message)}".lstrip()
        with suppress(sqlite3.Error):
            self._transaction(self._write, [Item("state", (status, reason, identity), 0)])

    def _fails(self, error: RunFileError) -> None:
        if self.error is None:
            self._failing_since = time.monotonic()
        is_news = self.error is None or self.error.problem.code != error.problem.code
        self.error = error
        if is_news and self._on_error:
            self._on_error(error)

    def _works_again(self) -> None:
        if self.error is None:
            return
        error, self.error = self.error, None
        seconds = time.monotonic() - self._failing_since
        event = self._event("warning", "write-resumed", _RESUMED, seconds=seconds, error=error.problem.message)
        self._write_patiently([event])
        if self._on_error:
            self._on_error(None)

    def _event(self, kind: str, code: str, template: str, **args: Any) -> Item:
        return Item("event", (self._t_ms(), utc_now(), kind, code, template, json_text(args)), 0)

    def _transaction(self, write: Callable[[list[Item]], None], batch: list[Item]) -> None:
        """The batch and the rollups it completes: all of it, or nothing."""
        connection, before = self._place.connection, self._position()
        is_state = any(item.table == "state" for item in batch)
        try:
            if is_state:
                connection.execute("PRAGMA synchronous = FULL")
            connection.execute("BEGIN IMMEDIATE")
            write(batch)
            connection.execute("COMMIT")
        except BaseException:
            self._go_back(before)
            # SQLite itself has rolled back after some errors; asking again would be one more.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        finally:
            if is_state:
                connection.execute("PRAGMA synchronous = NORMAL")

    def _position(self) -> Position:
        return self._seq, self._rollups.snapshot()

    def _go_back(self, position: Position) -> None:
        self._seq = position[0]
        self._rollups.restore(position[1])

    def _write(self, batch: list[Item]) -> None:
        rows: dict[str, list[Any]] = {}
        for item in batch:
            rows.setdefault(item.table, []).append(item.values)
        for table, values in rows.items():
            self._write_table(table, values)

    def _write_carefully(self, batch: list[Item]) -> None:
        """One by one, with an event in the place of each row that SQLite or Python refuses."""
        for item in batch:
            before = self._position()
            self._place.connection.execute("SAVEPOINT item")
            try:
                self._write_table(item.table, [item.values])
            except (sqlite3.Error, *_BAD_VALUES) as error:
                if _is_transient(error):
                    raise
                self._go_back(before)
                self._place.connection.execute("ROLLBACK TO item")
                event = self._event("problem", "row-refused", _REFUSED, table=item.table, error=words(error))
                self._write_table("event", [event.values])
            self._place.connection.execute("RELEASE item")

    def _write_table(self, table: str, rows: list[Any]) -> None:
        if table == "step":
            self._write_steps(rows)
        elif table == "state":
            for row in rows:
                write_state(self._place.connection, *row)
            self._state = rows[-1]
        elif table != "flush":
            self._place.connection.executemany(insert(table), map(conversion.row(table), rows))

    def _write_steps(self, rows: Iterable[dict[str, Any]]) -> None:
        completed: list[tuple[Any, ...]] = []
        self._place.connection.executemany(insert("step"), self._step_rows(rows, completed))
        if completed:
            self._place.connection.executemany(insert("rollup"), completed)

    def _step_rows(self, rows: Iterable[dict[str, Any]], completed: list[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        for columns in rows:
            self._seq += 1
            plain = conversion.step_columns(columns)
            if not plain["process"]:  # later processes measure time again, which is no part of the run's course
                completed.extend(self._rollups.add(reading(plain)))
            yield self._seq, *conversion.step_row(plain)


def _is_transient(error: Exception) -> TypeGuard[sqlite3.Error]:
    return isinstance(error, sqlite3.Error) and primary_code(error) in _TRANSIENT
