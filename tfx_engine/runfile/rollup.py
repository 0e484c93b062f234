"""Minimum, maximum, sum and count over 16, 256, 4096, ... steps: a long chart in few rows, with every spike exact.

Only complete buckets are written, each with the step that completes it, so a rollup never disagrees with the steps and
never changes. What follows the last complete bucket of a level is in the level below, and at last in the steps.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tfx_engine.runfile.arrays import pack, unpack
from tfx_engine.runfile.tables import LAYER_COLUMNS, ROLLUP_COLUMNS

FACTOR = 16  # steps in a bucket of the first level, and buckets of one level in a bucket of the next
Floats = NDArray[np.float64]


class Bucket(NamedTuple):
    """One bucket. `data` [columns, 4] and each of `layers` [3, layers] (or None) are float64."""

    first_step: int
    last_step: int
    t_ms: float  # of its last step
    data: Floats  # minimum, maximum, sum, count
    layers: tuple[Floats | None, ...]  # maximum, sum, count, for each of LAYER_COLUMNS


class Reading(NamedTuple):
    """What a rollup needs of one step. None where there is no reading."""

    step: int
    t_ms: float
    values: tuple[float | None, ...]  # for each of ROLLUP_COLUMNS
    layers: tuple[NDArray[Any] | None, ...]  # [layers], for each of LAYER_COLUMNS


def reading(columns: Mapping[str, Any]) -> Reading:
    """The reading of one step row; throughput is worked out as the table does."""
    tokens, step_ms = columns.get("tokens"), columns.get("step_ms")
    rate = tokens * 1000.0 / step_ms if tokens is not None and step_ms else None
    values = tuple(rate if name == "tokens_per_s" else columns.get(name) for name in ROLLUP_COLUMNS)
    return Reading(columns["step"], columns["t_ms"], values, tuple(columns.get(name) for name in LAYER_COLUMNS))


def of_steps(readings: Sequence[Reading]) -> Bucket:
    """The bucket over some steps."""
    values = np.array([r.values for r in readings], dtype=np.float64)
    known = ~np.isnan(values)
    low, high = np.fmin.reduce(values), np.fmax.reduce(values)
    data = np.stack([low, high, _sum(np.where(known, values, 0.0)), known.sum(axis=0)], axis=1)
    layers = tuple(_layers_of_steps([r.layers[i] for r in readings]) for i in range(len(LAYER_COLUMNS)))
    return Bucket(readings[0].step, readings[-1].step, readings[-1].t_ms, data, layers)


def _layers_of_steps(arrays: Sequence[NDArray[Any] | None]) -> Floats | None:
    present = [a for a in arrays if a is not None]
    if not present:
        return None
    values = np.stack(present).astype(np.float64)
    known = ~np.isnan(values)
    return np.stack([np.fmax.reduce(values), _sum(np.where(known, values, 0.0)), known.sum(axis=0)])


def _sum(values: Floats) -> Floats:
    """The sum over the first axis; of infinities, as it comes."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(values.sum(axis=0))


def merge(data: Floats) -> Floats:
    """Buckets [n, ..., 4] as one [..., 4]: minimum, maximum, sum, count. Sums of infinities come as they are."""
    low, high = np.fmin.reduce(data[..., 0]), np.fmax.reduce(data[..., 1])
    return np.stack([low, high, _sum(data[..., 2]), _sum(data[..., 3])], axis=-1)


def of_buckets(buckets: Sequence[Bucket]) -> Bucket:
    """The bucket over some buckets of the level below."""
    merged = merge(np.stack([b.data for b in buckets]))
    layers = tuple(_layers_of_buckets([b.layers[i] for b in buckets]) for i in range(len(LAYER_COLUMNS)))
    return Bucket(buckets[0].first_step, buckets[-1].last_step, buckets[-1].t_ms, merged, layers)


def _layers_of_buckets(arrays: Sequence[Floats | None]) -> Floats | None:
    present = [a for a in arrays if a is not None]
    if not present:
        return None
    stacked = np.stack(present)
    return np.stack([np.fmax.reduce(stacked[:, 0]), _sum(stacked[:, 1]), _sum(stacked[:, 2])])


RollupState = tuple[list[Reading], list[list[Bucket]], list[int]]


class Rollups:
    """Takes the steps in their order and gives the rows of `rollup` that each of them completes."""

    def __init__(self) -> None:
        self._steps: list[Reading] = []
        self._levels: list[list[Bucket]] = []  # of each level the buckets that the next one still waits for
        self._counts: list[int] = []  # complete buckets of each level

    def snapshot(self) -> RollupState:
        """The state before a transaction; cheap, as there are at most 15 entries to a level."""
        return list(self._steps), [list(level) for level in self._levels], list(self._counts)

    def restore(self, state: RollupState) -> None:
        """Back to a snapshot: the transaction failed."""
        steps, levels, counts = state
        self._steps, self._levels, self._counts = list(steps), [list(level) for level in levels], list(counts)

    def add(self, step: Reading) -> Iterator[tuple[Any, ...]]:
        """The rows that this step completes, from the finest level to the coarsest."""
        self._steps.append(step)
        if len(self._steps) == FACTOR:
            bucket, self._steps = of_steps(self._steps), []
            yield from self._complete(1, bucket)

    def _complete(self, level: int, bucket: Bucket) -> Iterator[tuple[Any, ...]]:
        if level > len(self._levels):
            self._levels.append([])
            self._counts.append(0)
        waiting = self._levels[level - 1]
        yield _row(level, self._counts[level - 1], bucket)
        self._counts[level - 1] += 1
        waiting.append(bucket)
        if len(waiting) == FACTOR:
            self._levels[level - 1] = []
            yield from self._complete(level + 1, of_buckets(waiting))

    def resume(self, connection: sqlite3.Connection) -> None:
        """Take up the state that a file was left in, by a writer that ended or was killed."""
        counts = dict(connection.execute("SELECT level, MAX(bucket) + 1 FROM rollup GROUP BY level").fetchall())
        self._counts = [counts[level] for level in sorted(counts)]
        self._levels = [
            _buckets(connection, level, after=count - count % FACTOR - 1)
            for level, count in enumerate(self._counts, start=1)
        ]
        done = self._counts[0] * FACTOR if self._counts else 0
        self._steps = [reading(row) for row in _step_rows(connection, done)]


def _row(level: int, number: int, bucket: Bucket) -> tuple[Any, ...]:
    layers = (None if array is None else pack(array) for array in bucket.layers)
    return level, number, bucket.first_step, bucket.last_step, bucket.t_ms, pack(bucket.data), *layers


def _buckets(connection: sqlite3.Connection, level: int, after: int) -> list[Bucket]:
    rows = connection.execute(
        f"SELECT first_step, last_step, t_ms, data, {', '.join(LAYER_COLUMNS)} FROM rollup"
        " WHERE level = ? AND bucket > ? ORDER BY bucket", (level, after),
    )
    return [
        Bucket(first, last, t_ms, unpack(data), tuple(None if blob is None else unpack(blob) for blob in blobs))
        for first, last, t_ms, data, *blobs in rows
    ]


def _step_rows(connection: sqlite3.Connection, after_seq: int) -> Iterator[dict[str, Any]]:
    names = ("step", "t_ms", "tokens", *(c for c in ROLLUP_COLUMNS if c != "tokens_per_s"), *LAYER_COLUMNS)
    sql = f"SELECT {', '.join(names)} FROM step WHERE seq > ? AND process = 0 ORDER BY seq"
    for row in connection.execute(sql, (after_seq,)):
        columns: dict[str, Any] = dict(zip(names, row, strict=True))
        for name in LAYER_COLUMNS:
            columns[name] = None if columns[name] is None else unpack(columns[name])
        yield columns
