"""`RunReader`: everything that anyone may want to know of a run, live or years later, in short transactions."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.runfile.arrays import unpack
from tfx_engine.runfile.errors import failure
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.outcome import INTERRUPTED
from tfx_engine.runfile.rows import (
    AttentionCapture,
    Evaluation,
    Event,
    LogLine,
    MemoryProbe,
    Prediction,
    RunInfo,
)
from tfx_engine.runfile.snapshot import Opener, as_words, reading_failure
from tfx_engine.runfile.tables import (
    COLUMNS,
    DEVICE_READINGS,
    LAYER_COLUMNS,
    ROLLUP_COLUMNS,
    STEP_INTEGERS,
    STEP_READINGS,
    STEP_WORDS,
)

LIMIT = 100_000
_NUMBERED = ("step", "memory_probe", "evaluation", "device_sample", "event", "log")  # tables with a seq
_DATA_ERRORS = (ValueError, TypeError, OverflowError, KeyError, msgspec.MsgspecError)


class RunReader:
    """Reads one run file. Every method is a transaction of its own; `snapshot` makes several see the same moment.

    All methods raise `RunFileError`: no such file, not a run file, newer, truncated, damaged. Safe in any thread.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open the file once to see that it can be read."""
        self.path = Path(path)
        self._opener = Opener(self.path)
        self._mutex = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        with self.snapshot():
            pass

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reading in the block sees the file as it is now, and pays for opening it once. Keep it short."""
        with self._mutex:
            if self._connection is not None:
                yield
                return
            try:
                self._connection = self._opener.open()
                yield
            except sqlite3.Error as error:
                raise reading_failure(error, self.path) from error
            finally:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """A snapshot in which data that cannot be are the file's fault."""
        with self.snapshot():
            try:
                yield
            except _DATA_ERRORS as error:
                raise reading_failure(error, self.path) from error

    def _rows(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        assert self._connection is not None, "within a snapshot"
        self._opener.allow_time()
        return self._connection.execute(sql, arguments).fetchall()

    # ------------------------------------------------------------------------------------ the run

    def info(self) -> RunInfo:
        """The run in a few words, with its effective status."""
        info = self._info(is_locked(self.path))
        if info.status == "interrupted" != info.recorded_status:
            # It may have ended between the two looks: what is recorded after the lock is gone counts.
            info = self._info(is_locked(self.path))
        return info

    def _info(self, locked: bool) -> RunInfo:
        with self._reading():
            found = self._rows(
                "SELECT run_id, name, status, reason, created_at, started_at, ended_at, queue_position, comparison,"
                " config_json, config_toml, pid, engine_version FROM run WHERE id = 1"
            )
            if not found:
                raise ValueError("it has no run in it")
            (run_id, name, status, reason, created, started, ended, position, comparison, config, toml, pid,
             version) = found[0]
            is_orphan = status == "running" and not locked
            return RunInfo(
                path=self.path, run_id=as_words(run_id), name=as_words(name), recorded_status=as_words(status),
                status="interrupted" if is_orphan else as_words(status),
                reason=as_words(reason) or (INTERRUPTED if is_orphan else ""), created_at=as_words(created),
                started_at=started and as_words(started), ended_at=ended and as_words(ended),
                queue_position=float(position), comparison=as_words(comparison),
                config=msgspec.json.decode(as_words(config), type=dict), config_toml=as_words(toml),
                pid=None if pid is None else int(pid), engine_version=as_words(version), is_locked=locked,
            )

    def facts(self) -> dict[str, Any]:
        """What is true of the whole run."""
        with self._reading():
            return {as_words(k): msgspec.json.decode(as_words(v)) for k, v in self._rows("SELECT key, value FROM fact")}

    def missing(self) -> dict[str, str]:
        """Why readings are missing, by their key."""
        with self._reading():
            return {as_words(k): as_words(v) for k, v in self._rows("SELECT key, reason FROM missing")}

    def predictions(self) -> dict[str, Prediction]:
        """What was predicted, by its key."""
        with self._reading():
            rows = self._rows("SELECT key, value, level FROM prediction")
            return {k: Prediction(k, v, as_words(level)) for k, v, level in rows}

    def newest(self) -> dict[str, int]:
        """The newest seq of every table that has one (0: empty), and the number of attention captures."""
        with self._reading():
            newest = {name: self._rows(f"SELECT COALESCE(MAX(seq), 0) FROM {name}")[0][0] for name in _NUMBERED}
            newest["attention"] = self._rows("SELECT COALESCE(MAX(capture) + 1, 0) FROM attention")[0][0]
            return newest

    # ------------------------------------------------------------------------------------ steps

    def count_steps(self) -> int:
        """How many step rows there are; cheap."""
        with self._reading():
            return int(self._rows("SELECT COALESCE(MAX(seq), 0) FROM step")[0][0])

    def steps(self, after_seq: int = 0, limit: int = LIMIT, columns: Sequence[str] | None = None) -> dict[str, NDArray[Any]]:
        """Scalar columns of the step rows after a seq, each [n]: numbers as float64 (NaN where there is none), `seq` and
        the counting columns as int64, `phase` and `taint` as objects. `columns`: only these (and `seq`).
        """
        chosen = ("seq", *(columns or (*STEP_INTEGERS, *STEP_WORDS, *STEP_READINGS, "tokens_per_s")))
        with self._reading():
            # Throughput is worked out here: no expression that a file brings along is ever evaluated.
            stored = [c for c in dict.fromkeys(chosen) if c != "tokens_per_s"]
            if "tokens_per_s" in chosen:
                stored += [c for c in ("tokens", "step_ms") if c not in stored]
            rows = self._rows(f"SELECT {', '.join(stored)} FROM step WHERE seq > ? ORDER BY seq LIMIT ?", after_seq, limit)
            arrays = _arrays(stored, rows)
            if "tokens_per_s" in chosen:
                arrays["tokens_per_s"] = _ratio(arrays["tokens"] * 1000.0, arrays["step_ms"])
            return {name: arrays[name] for name in chosen}

    def layer_steps(
        self, column: str, after_seq: int = 0, limit: int = LIMIT
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Step numbers [n] and one array by layer [n, layers] of the step rows after a seq that have one."""
        _check_layer_column(column)
        with self._reading():
            rows = self._rows(
                f"SELECT step, {column} FROM step WHERE seq > ? AND {column} IS NOT NULL ORDER BY seq LIMIT ?",
                after_seq, limit,
            )
            if not rows:
                return np.empty(0, np.int64), np.empty((0, 0), np.float32)
            values = np.stack([unpack(blob) for _, blob in rows]).astype(np.float32, copy=False)
            return np.array([step for step, _ in rows], dtype=np.int64), values

    def rollup_columns(self) -> list[str]:
        """What the second axis of a rollup's `data` stands for."""
        columns = self.facts().get("rollup_columns", list(ROLLUP_COLUMNS))
        return [as_words(name) for name in columns] if isinstance(columns, list) else list(ROLLUP_COLUMNS)

    def rollup(self, level: int, after_bucket: int = -1, layers: bool = True) -> dict[str, Any]:
        """The complete buckets of a level (16^level steps each) after one: `bucket`, `first_step`, `last_step` int64 [n],
        `t_ms` float64 [n], `data` float64 [n, columns, 4] (minimum, maximum, sum, count), and with `layers` for each
        array by layer a list [n] of float64 [3, layers] (maximum, sum, count) or None.
        """
        names = ("bucket", "first_step", "last_step", "t_ms", "data", *(LAYER_COLUMNS if layers else ()))
        with self._reading():
            rows = self._rows(
                f"SELECT {', '.join(names)} FROM rollup WHERE level = ? AND bucket > ? ORDER BY bucket", level, after_bucket
            )
            columns = dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())
            found: dict[str, Any] = {n: np.array(columns[n], dtype=np.int64) for n in names[:3]}
            found["t_ms"] = np.array(columns["t_ms"], dtype=np.float64)
            found["data"] = (
                np.stack([unpack(blob) for blob in columns["data"]]) if rows else np.empty((0, len(ROLLUP_COLUMNS), 4))
            )
            for name in names[5:]:
                found[name] = [None if blob is None else unpack(blob) for blob in columns[name]]
            return found

    # ------------------------------------------------------------------------------------ probes

    def memory_probes(self, after_seq: int = 0, limit: int = LIMIT) -> list[MemoryProbe]:
        """The splits of memory after a seq."""
        with self._reading():
            rows = self._rows(
                f"SELECT seq, {', '.join(COLUMNS['memory_probe'])} FROM memory_probe WHERE seq > ? ORDER BY seq LIMIT ?",
                after_seq, limit,
            )
            return [_memory_probe(*row) for row in rows]

    def attention_captures(self) -> list[AttentionCapture]:
        """All captures in their order, without their maps."""
        with self._reading():
            rows = self._rows(
                "SELECT capture, step, t_ms, layer, heads, pool, head, queries, keys FROM attention ORDER BY capture, layer"
            )
            captures: dict[int, AttentionCapture] = {}
            layers: dict[int, list[int]] = {}
            for capture, step, t_ms, layer, heads, pool, head, queries, keys in rows:
                layers.setdefault(capture, []).append(int(layer))
                captures[capture] = AttentionCapture(
                    capture, step, float(t_ms), tuple(layers[capture]), heads, pool, head, queries, keys
                )
            return list(captures.values())

    def attention(self, capture: int, layer: int) -> NDArray[np.float16]:
        """The maps of one layer: [heads, queries, keys]. Raises `RunFileError` where there is none."""
        with self._reading():
            rows = self._rows("SELECT weights FROM attention WHERE capture = ? AND layer = ?", capture, layer)
            if not rows:
                raise failure("no-such-capture", self.path, capture=capture, layer=layer)
            weights = unpack(rows[0][0])
            if weights.ndim != 3:
                raise ValueError(f"an attention map of shape {weights.shape}")
            return weights.astype(np.float16, copy=False)

    def attention_tokens(self, capture: int) -> NDArray[np.int32] | None:
        """The token ids [T] of a capture's sample; None where they were not kept."""
        with self._reading():
            rows = self._rows("SELECT tokens FROM attention WHERE capture = ? AND tokens IS NOT NULL LIMIT 1", capture)
            return unpack(rows[0][0]).astype(np.int32, copy=False) if rows else None

    def evaluations(self, after_seq: int = 0, limit: int = LIMIT) -> list[Evaluation]:
        """The evaluations on held-out data after a seq."""
        with self._reading():
            rows = self._rows(
                "SELECT seq, step, t_ms, held_out_loss, tokens FROM evaluation WHERE seq > ? ORDER BY seq LIMIT ?",
                after_seq, limit,
            )
            return [
                Evaluation(seq, step, float(t_ms), float("nan") if loss is None else float(loss), tokens)
                for seq, step, t_ms, loss, tokens in rows
            ]

    def device_samples(self, after_seq: int = 0, limit: int = LIMIT) -> dict[str, NDArray[Any]]:
        """What the machine did after a seq: `seq` int64 [n], the rest float64 [n], NaN where there is no reading."""
        names = ["seq", "t_ms", *DEVICE_READINGS]
        with self._reading():
            sql = f"SELECT {', '.join(names)} FROM device_sample WHERE seq > ? ORDER BY seq LIMIT ?"
            return _arrays(names, self._rows(sql, after_seq, limit))

    # ------------------------------------------------------------------------------------ words

    def events(self, after_seq: int = 0, limit: int = LIMIT) -> list[Event]:
        """What happened after a seq, in order."""
        with self._reading():
            rows = self._rows(
                "SELECT seq, t_ms, at, kind, code, template, args FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
                after_seq, limit,
            )
            return [
                Event(seq, float(t_ms), *map(as_words, words), msgspec.json.decode(as_words(args), type=dict))
                for seq, t_ms, *words, args in rows
            ]

    def logs(self, after_seq: int = 0, limit: int = LIMIT) -> list[LogLine]:
        """What the worker printed after a seq."""
        with self._reading():
            rows = self._rows("SELECT seq, t_ms, stream, text FROM log WHERE seq > ? ORDER BY seq LIMIT ?", after_seq, limit)
            return [LogLine(seq, float(t_ms), as_words(stream), as_words(text)) for seq, t_ms, stream, text in rows]

    def backup(self, target: sqlite3.Connection) -> None:
        """A complete copy into another database, also while the run is live."""
        with self.snapshot():
            assert self._connection is not None
            self._connection.backup(target)

    def close(self) -> None:
        """Nothing stays open between calls but, of a file on a read-only disk, a private copy."""
        with self._mutex:
            self._opener.close()

    def __enter__(self) -> RunReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


_WORDS = frozenset(STEP_WORDS)
_INTEGERS = frozenset({"seq", *STEP_INTEGERS})


def _arrays(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, NDArray[Any]]:
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {name: _array(name, values) for name, values in zip(names, columns, strict=True)}


def _array(name: str, values: Sequence[Any]) -> NDArray[Any]:
    if name in _WORDS:
        array = np.empty(len(values), dtype=object)
        array[:] = [None if v is None else as_words(v) for v in values]
        return array
    return np.array(values, dtype=np.int64 if name in _INTEGERS else np.float64)


def _ratio(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(above, below, out=np.full(len(above), np.nan), where=below != 0)


def _check_layer_column(column: str) -> None:
    if column not in LAYER_COLUMNS:
        raise KeyError(column)


def _memory_probe(
    seq: int, step: int, phase: Any, t_ms: Any, peak_bytes: Any, *rest: Any,
) -> MemoryProbe:
    at_peak, (own, times, timeline, phases) = rest[: len(CATEGORIES)], rest[len(CATEGORIES) :]
    peaks = unpack(own)
    if peaks.shape != (len(CATEGORIES),):
        raise ValueError(f"peaks of shape {peaks.shape}")
    return MemoryProbe(
        seq=seq, step=step, phase=as_words(phase), t_ms=float(t_ms), peak_bytes=int(peak_bytes),
        composition={name: int(n) for name, n in zip(CATEGORIES, at_peak, strict=True)},
        category_peak={name: int(n) for name, n in zip(CATEGORIES, peaks, strict=True)},
        timeline_ms=unpack(times), timeline=unpack(timeline).reshape(-1, len(CATEGORIES)),
        phases=tuple(
            (as_words(name), float(start), float(end)) for name, start, end in msgspec.json.decode(as_words(phases))
        ),
    )
