"""`RunWriter`: everything that a running worker records, without ever waiting for the disk.

Every method hands its row to a bounded buffer and returns; one thread owns the connection and commits at least every
250 ms. Only `state`, `flush` and `close` wait until what they say is on disk. Arrays belong to the writer from the
call on: whoever goes on changing one hands over a copy.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.protocol.status import STATUSES
from tfx_engine.runfile import reserve, spool
from tfx_engine.runfile.buffer import Buffer, Item
from tfx_engine.runfile.create import utc_now
from tfx_engine.runfile.errors import RunFileError, failure, write_failure
from tfx_engine.runfile.header import check_file, is_sealed
from tfx_engine.runfile.lock import RunLock
from tfx_engine.runfile.outcome import seconds_since_begun
from tfx_engine.runfile.place import Place
from tfx_engine.runfile.processes import process_identity
from tfx_engine.runfile.recorder import Recorder
from tfx_engine.runfile.seal import seal_connection
from tfx_engine.runfile.tables import COLUMNS, DEVICE_READINGS, ROLLUP_COLUMNS, STEP_COLUMNS
from tfx_engine.runfile.texts import json_text

PATIENCE_S = 60.0  # of a caller whose buffer is full
STATE_PATIENCE_S = 10.0
HURRIED_PATIENCE_S = 1.0  # with a disk that refuses, once somebody waits for the end
_LOOK_S = 0.1
_STATE = tr_mark("The run is {status}.")
_DROPPED = tr_mark("From here on nothing is kept: the run file cannot be written, and the run was told to end.")
_STEP_COLUMNS = frozenset(STEP_COLUMNS)
_STEP_BYTES = 1500  # of one waiting step, roughly


class RunWriter:
    """The one writer of a run file, for as long as it is open. A context manager. Any thread may call any method."""

    def __init__(
        self, path: str | os.PathLike[str], on_error: Callable[[RunFileError | None], None] | None = None,
        lock: RunLock | None = None, buffer: Buffer | None = None, hurried: Callable[[], bool] = lambda: False,
    ) -> None:
        """Take the lock (or take over `lock`, which is released even if this fails) and open an existing file.

        `on_error` is called on the writer's thread with what keeps it from writing, and with None once it can again;
        and where somebody had taken the file away, which was put back.
        `hurried`: whether somebody waits for the end, so that a disk which refuses is not given much time any more.
        On a network file system it records on a local disk, and moves the file when it is closed (see `spool`). Raises
        `RunFileError`: no such file, in use, no permission, no space, damaged, newer.
        """
        self.path = Path(path)
        self._start = time.perf_counter()
        if lock is None:
            check_file(self.path)  # before a lock file is made beside what is no run file
        self._lock = lock or RunLock(self.path)
        self._buffer = buffer or Buffer()
        self._hurried = hurried
        self._is_closed = self._is_dropping = False
        self._heir: int | None = None
        with ExitStack() as undo:
            undo.callback(self._lock.release)
            try:
                self._local = spool.begin(self.path)
                self._place = Place(self._local)
                undo.callback(self._place.connection.close)
                self._start -= seconds_since_begun(self._place.connection)
                self._place.keep_reserve()
                self._recorder = Recorder(
                    self._place, self.path, self._buffer, self.t_ms, on_error, lambda: reserve.give_up(self._local),
                    self._lock.keep if self._local == self.path else lambda: False,  # a server is not to be waited for
                )
            except sqlite3.Error as error:
                raise write_failure(error, self.path) from None
            undo.pop_all()
        self.fact("rollup_columns", list(ROLLUP_COLUMNS))
        if self._local != self.path:
            self.event("warning", "spooled", spool.SPOOLED, folder=str(self._local.parent))

    def t_ms(self) -> float:
        """Milliseconds since the run was taken: the clock of every `t_ms` that a caller leaves out.

        That is since this writer was made, or the first one where this one goes on with what another left running.
        """
        return (time.perf_counter() - self._start) * 1000

    @property
    def error(self) -> RunFileError | None:
        """What keeps the writer from writing now; None where nothing does."""
        return self._recorder.error

    # ------------------------------------------------------------------------------------ measurements

    def step(self, **columns: Any) -> None:
        """One step, by the columns of the table `step`; `step` and `phase` are needed, `t_ms` is now where left out.

        `layer_grad_norm` and `layer_update_ratio` are arrays [layers]. Raises TypeError for an unknown column.
        """
        if not columns.keys() <= _STEP_COLUMNS or "step" not in columns or "phase" not in columns:
            unknown = ", ".join(sorted(columns.keys() - _STEP_COLUMNS))
            raise TypeError(f"a step has no column {unknown}" if unknown else "a step needs its number and its phase")
        columns.setdefault("t_ms", self.t_ms())
        self._put("step", columns, _STEP_BYTES)

    def memory_probe(
        self, *, step: int, phase: str, peak_bytes: int, composition: Mapping[str, int],
        category_peak: Mapping[str, int], timeline_ms: NDArray[Any], timeline: NDArray[Any],
        phases: Sequence[tuple[str, float, float]], t_ms: float | None = None,
    ) -> None:
        """The split of one step's memory. `composition` (bytes by category, at the peak) adds up to `peak_bytes`.

        `timeline_ms` [n] is the time within the step, `timeline` [n, categories] the bytes; `phases` are
        (name, start_ms, end_ms) within the step. Categories are those of `protocol.metrics.CATEGORIES`.
        """
        at_peak = [int(composition.get(c, 0)) for c in CATEGORIES]
        if sum(at_peak) != int(peak_bytes):
            raise ValueError(f"the composition adds up to {sum(at_peak)}, the peak is {peak_bytes}")
        own = np.array([category_peak.get(c, 0) for c in CATEGORIES], dtype=np.int64)
        times, rows = np.asarray(timeline_ms, dtype=np.float64), np.asarray(timeline, dtype=np.int64)
        if rows.shape != (len(times), len(CATEGORIES)):
            raise ValueError(f"the timeline has shape {rows.shape}, not {(len(times), len(CATEGORIES))}")
        values = (step, phase, self._now(t_ms), peak_bytes, *at_peak, own, times, rows, json_text(list(phases)))
        self._put("memory_probe", values, rows.nbytes + times.nbytes + 500)

    def attention(
        self, capture: int, step: int, t_ms: float | None, layers: Sequence[NDArray[Any]], pool: int = 1,
        tokens: NDArray[Any] | None = None, head: int | None = None, layer_indices: Sequence[int] | None = None,
    ) -> None:
        """The attention maps of one sample: for each layer an array float16 [heads, queries, keys].

        `pool`: side of the square of weights that one number is the mean of. `tokens` [T]: the sample's token ids.
        `head`: the arrays hold this head alone. `layer_indices`: which layers they are; 0, 1, ... where left out.
        """
        for position, (layer, weights) in enumerate(zip(layer_indices or range(len(layers)), layers, strict=True)):
            heads, queries, keys = weights.shape
            ids = tokens if position == 0 else None
            values = (capture, layer, step, self._now(t_ms), pool, head, heads, queries, keys, weights, ids)
            self._put("attention", values, weights.nbytes + 500)

    def evaluation(
        self, *, step: int, held_out_loss: float | None, tokens: int, accuracy: float | None = None,
        bits_per_byte: float | None = None, t_ms: float | None = None,
    ) -> None:
        """The mean loss over the held-out data, over how many tokens, and what share of them was right."""
        self._put("evaluation", (step, self._now(t_ms), held_out_loss, tokens, accuracy, bits_per_byte), 200)

    def device_sample(self, *, t_ms: float | None = None, **readings: float | None) -> None:
        """What the machine does now, by the columns of `device_sample`. Raises TypeError for an unknown one."""
        if unknown := readings.keys() - set(DEVICE_READINGS):
            raise TypeError(f"a device sample has no column {', '.join(sorted(unknown))}")
        self._put("device_sample", (self._now(t_ms), *(readings.get(name) for name in DEVICE_READINGS)), 300)

    def row(self, table: str, **columns: Any) -> None:
        """A row of a table that has no method of its own, with all its columns. Raises TypeError for others."""
        if wrong := columns.keys() ^ set(COLUMNS[table]):
            raise TypeError(f"a row of {table} has other columns: {', '.join(sorted(wrong))}")
        size = sum(len(value) for value in columns.values() if isinstance(value, (str, bytes)))
        self._put(table, tuple(columns[name] for name in COLUMNS[table]), 300 + size)

    # ------------------------------------------------------------------------------------ words

    def event(self, kind: str, code: str, template: str, **args: Any) -> None:
        """Something happened. `template` is an English `str.format` template over `args`."""
        values = (self.t_ms(), utc_now(), kind, code, template, json_text(args))
        self._put("event", values, 300 + len(values[-1]))

    def log(self, stream: str, text: str) -> None:
        """A line that the worker printed on `stream`."""
        self._put("log", (self.t_ms(), stream, text), 200 + len(text))

    def fact(self, key: str, value: Any) -> None:
        """Something that is true of the whole run, as JSON."""
        text = json_text(value)
        self._put("fact", (key, text), 200 + len(text))

    def missing(self, key: str, reason: str) -> None:
        """Why a reading could not be had; a sentence."""
        self._put("missing", (key, reason), 300)

    def prediction(self, key: str, value: float | None, level: str) -> None:
        """A figure that was predicted; `level` is instant or traced."""
        self._put("prediction", (key, value, level), 200)

    def audit(
        self, *, slot: str, technique: str, claim: str, ok: bool | None, code: str, template: str,
        args: Mapping[str, Any],
    ) -> None:
        """What came of trying one claim of a technique; `ok` None: it could not be tried, the template says why."""
        values = (self.t_ms(), slot, technique, claim, None if ok is None else int(ok), code, template, json_text(args))
        self._put("audit", values, 300 + len(values[-1]))

    def note(self, **more: Any) -> None:
        """Say something in the lock file, beside who writes."""
        self._lock.note(**more)

    # ------------------------------------------------------------------------------------ waiting

    def state(self, status: str, reason: str = "") -> None:
        """The run's new state, on disk (fully synchronised) when this returns, with everything handed over before.

        Raises `RunFileError` where it cannot be written within 10 s (hurried: 1 s); it is tried further until `close`.
        """
        if status not in STATUSES:
            raise ValueError(f"{status!r} is no state of a run")
        self.event("state", status, _STATE, status=status, reason=reason)
        self._put_and_wait("state", (status, reason, process_identity() if status == "running" else None))

    def flush(self) -> None:
        """Return when everything handed over before is committed. Raises `RunFileError` where that fails for 10 s."""
        self._put_and_wait("flush", None)

    def leave_to(self, pid: int) -> None:
        """At `close` the run goes on: its state stays `running`, and the lock goes to that process alone."""
        self._heir = pid

    def close(self) -> None:
        """Write what is left, seal the file, give the lock back. A run still `running` becomes `interrupted`.

        Where the file cannot be sealed now (no space, a reader in the middle of something) its log stays beside it,
        with nothing lost, for `seal` to end the matter. Raises `RunFileError` where something could not be written at
        all: the file is then as after the last commit, but for the newest state, for which a little room is kept.
        """
        if self._is_closed:
            return
        self._is_closed = True
        try:
            self._recorder.finish(self._patience_s)
            if self._recorder.error is not None:
                raise self._recorder.error
            if self._heir is not None:
                self._place.connection.close()
                self._lock.hand_over(self._heir)
                return
            seal_connection(self._place.connection, self.path)
            self._place.connection.close()
            if is_sealed(self._local):  # else a reader kept it from being: `seal` moves it another time
                spool.end(self._local, self.path)
        except sqlite3.Error as error:
            refusal = write_failure(error, self.path)
            if refusal.problem.code == "damaged":
                raise refusal from None
        finally:
            self._place.connection.close()
            self._lock.release()

    def __enter__(self) -> RunWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _now(self, t_ms: float | None) -> float:
        return self.t_ms() if t_ms is None else t_ms

    def _put(self, table: str, values: Any, size: int, done: threading.Event | None = None) -> None:
        if self._is_closed:
            raise ValueError(f"{self.path} is closed")
        if self._recorder.error is not None and not self._recorder.is_alive:
            raise self._recorder.error
        item, start = Item(table, values, size, done), time.monotonic()
        while not self._buffer.put(item, min(_LOOK_S, PATIENCE_S)):
            if self._is_hopeless():
                self._drop()
                return
            if time.monotonic() - start >= PATIENCE_S:
                raise self._recorder.error or failure("write-failed", self.path, error="the disk is too slow")

    def _is_hopeless(self) -> bool:
        return self._recorder.error is not None and self._hurried()

    def _patience_s(self) -> float:
        return HURRIED_PATIENCE_S if self._is_hopeless() else STATE_PATIENCE_S

    def _drop(self) -> None:
        """Leave a row out, and say so in the file should it ever be written again."""
        if not self._is_dropping:
            self._is_dropping = True
            values = (self.t_ms(), utc_now(), "warning", "rows-dropped", _DROPPED, "{}")
            self._buffer.put(Item("event", values, 0, threading.Event()), 0)  # as an order there is room for it

    def _put_and_wait(self, table: str, values: Any) -> None:
        done = threading.Event()
        self._put(table, values, 100, done)
        start = time.monotonic()
        while not done.wait(_LOOK_S):
            if time.monotonic() - start >= self._patience_s():
                raise self._recorder.error or failure("write-failed", self.path, error="the disk is too slow")
