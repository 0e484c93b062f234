"""The steps of one run in bounded memory: the newest as they were measured, all of them in rollups.

The run file holds rollups of 16, 256, 4096, ... steps beside the steps. Kept here are the newest `CAPACITY` steps and,
of a run that is longer, the finest level of rollups that reaches back to the first step in so many rows. Charts take
that level, continued by finer ones where its newest bucket is not complete: of those only the end is kept, and of
coarser ones nothing, since the run file has them when they are needed.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfx_engine.protocol.taint import do_disturbed_count
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.tables import ROLLUP_COLUMNS
from tfx_workbench.runs.detail import FACTOR, Detail
from tfx_workbench.runs.ring import Ring
from tfx_workbench.runs.series import Floats, Rows, Series, chained, joined, single_steps, thinned
from tfx_workbench.runs.taints import clean_and_disturbed

CAPACITY = 8192  # rows
TAIL = 512  # buckets of a level that only continues a coarser one: what that has not yet, and before profiled steps
ROWS_A_CALL = 20_000
SERIES_KEPT = 16
X = Literal["step", "t_s"]


class Level:
    """The newest `capacity` buckets of one level of rollups."""

    def __init__(self, number: int, capacity: int) -> None:
        self.number, self.capacity = number, capacity
        self.bucket = Ring(capacity, dtype=np.int64)
        self.last_step = Ring(capacity)
        self.t_ms = Ring(capacity)
        self.data = Ring(capacity, (len(ROLLUP_COLUMNS), 4))  # minimum, maximum, sum, count

    @property
    def steps_per_bucket(self) -> int:
        """How many steps a complete bucket stands for."""
        return int(FACTOR**self.number)

    @property
    def newest(self) -> int:
        """Number of the newest bucket; -1 where there is none."""
        return int(self.bucket.values[-1]) if len(self.bucket) else -1

    def newest_before(self, step: float) -> int:
        """Number of the newest bucket that ends before a step; -1 where there is none."""
        count = int(np.searchsorted(self.last_step.values, step))
        return int(self.bucket.values[count - 1]) if count else -1

    @property
    def reaches_back(self) -> bool:
        """Whether the first bucket of the run is still held."""
        return len(self.bucket) > 0 and int(self.bucket.values[0]) == 0

    def refresh(self, reader: RunReader, seq: int) -> None:
        """Read the buckets that are new as of the step row `seq`, or those that fit."""
        skip = self.newest if len(self.bucket) else seq // self.steps_per_bucket - self.capacity - 1
        rows = reader.rollup(self.number, after_bucket=max(-1, skip), layers=False)
        self.bucket.extend(rows["bucket"])
        self.last_step.extend(rows["last_step"])
        self.t_ms.extend(rows["t_ms"])
        self.data.extend(rows["data"])

    def rows(self, column: str, x: X, first_bucket: int, warmup_steps: int, until_step: float) -> Rows:
        """The buckets from `first_bucket` on as rows of a series, as far as they end before `until_step`."""
        chosen = slice(int(np.searchsorted(self.bucket.values, first_bucket)),
                       int(np.searchsorted(self.last_step.values, until_step)))
        last_step = self.last_step.values[chosen]
        low, high, total, count = self.data.values[chosen, ROLLUP_COLUMNS.index(column)].T
        where = last_step if x == "step" else self.t_ms.values[chosen] / 1000
        return Rows(where, total, low, high, count, last_step - self.steps_per_bucket >= warmup_steps)


class StepColumns:
    """Everything that is recorded once per step, but the arrays by layer."""

    def __init__(self) -> None:
        self.seq = 0  # of the newest step read
        self.warmup_steps = 0
        self._raw = {name: Ring(CAPACITY) for name in (*ROLLUP_COLUMNS, "step", "t_ms")}
        self._raw_seq = Ring(CAPACITY, dtype=np.int64)
        self._clean = Ring(CAPACITY, dtype=np.bool_)  # measured, and nothing disturbed them
        self._disturbed = Ring(CAPACITY, dtype=np.bool_)  # measured, and something from outside did
        self._levels: list[Level] = []
        self._made: dict[tuple[Any, ...], Series] = {}  # what was asked for as of the newest step
        self._clean_count = self._measured_count = 0  # of all that were read
        self.disturbed = 0  # measured steps read that something from outside disturbed
        self.newest_phase = ""
        self.profiled_from = math.inf  # the step from which on steps only say where time goes: they are in no series
        self.first_loss: float | None = None
        self.last_loss: float | None = None  # of a step that trained: those of the profile move nothing

    def __len__(self) -> int:
        """Steps of the run up to the newest read."""
        return self.seq

    def refresh(self, reader: RunReader) -> bool:
        """Read what is new, at most about `ROWS_A_CALL` rows; whether there was any."""
        if self.seq == 0:
            # Of a long run only the end is read step by step: the rollups know the rest.
            self.seq = max(0, reader.count_steps() - CAPACITY)
            first = reader.steps(after_seq=0, limit=1)["loss"]
            self.first_loss = float(first[0]) if len(first) else None
        rows = reader.steps(after_seq=self.seq, limit=ROWS_A_CALL)
        count = len(rows["seq"])
        if count == 0:
            return False
        for name, ring in self._raw.items():
            ring.extend(rows[name])
        self._raw_seq.extend(rows["seq"])
        clean, disturbed = clean_and_disturbed(rows)
        self._clean.extend(clean)
        self._disturbed.extend(disturbed)
        self._clean_count += int(np.count_nonzero(clean))
        self.disturbed += int(np.count_nonzero(disturbed))
        self._measured_count += int(np.count_nonzero(rows["phase"] == "measure"))
        self.newest_phase = str(rows["phase"][-1])
        is_profiled = rows["phase"] == "profile"
        trained = rows["loss"][~is_profiled]
        if len(trained):
            self.profiled_from = math.inf
        if is_profiled[-1]:
            begins = len(is_profiled) - int(np.argmin(is_profiled[::-1])) if len(trained) else 0
            self.profiled_from = min(self.profiled_from, float(rows["step"][begins]))
        self.last_loss = float(trained[-1]) if len(trained) else self.last_loss
        self.seq = int(rows["seq"][-1])
        self._refresh_levels(reader)
        return True

    def _refresh_levels(self, reader: RunReader) -> None:
        if self.seq <= CAPACITY:
            return
        whole = 1
        while self.seq // FACTOR**whole > CAPACITY:
            whole += 1
        wanted = [min(TAIL, CAPACITY)] * (whole - 1) + [CAPACITY]
        held = [level.capacity for level in self._levels]
        self._levels = [self._levels[i] if held[i : i + 1] == [capacity] else Level(i + 1, capacity)
                        for i, capacity in enumerate(wanted)]
        for level in self._levels:
            level.refresh(reader, self.seq)

    def raw(self, column: str) -> NDArray[Any]:
        """The newest steps of one column [n <= CAPACITY]."""
        return self._raw[column].values

    @property
    def is_whole(self) -> bool:
        """Whether every step of the run is held."""
        return len(self._raw_seq) == self.seq

    @property
    def disturbed_count(self) -> bool:
        """Whether disturbed steps count, as there are more of them than of others."""
        return do_disturbed_count(self.disturbed, self._clean_count)

    @property
    def tainted(self) -> int:
        """Measured steps read that do not count."""
        return self._measured_count - self._clean_count - (self.disturbed if self.disturbed_count else 0)

    def _counting(self) -> NDArray[np.bool_]:
        return self._clean.values | self._disturbed.values if self.disturbed_count else self._clean.values

    def measured(self, column: str) -> Floats:
        """The newest values of a column that count in statistics."""
        return self._raw[column].values[self._counting()]

    def series(
        self, column: str, x: X, points: int, window: tuple[float, float] | None = None, detail: Detail | None = None
    ) -> Series:
        """One column over the whole run, in detail within `window`; see `RunData.series`."""
        asked = (self.seq, column, x, points, window)
        if asked not in self._made:
            if len(self._made) >= SERIES_KEPT or any(key[0] != self.seq for key in self._made):
                self._made.clear()
            self._made[asked] = self._make(column, x, points, window, detail)
        return self._made[asked]

    def _make(
        self, column: str, x: X, points: int, window: tuple[float, float] | None, detail: Detail | None
    ) -> Series:
        rows, size = self._rows(column, x)
        if window is None or not len(rows.x):
            return thinned(rows, points, size)
        start, stop = np.searchsorted(rows.x, window)
        inside = slice(start, stop + 1)  # up to the row in which the window ends
        before, after = rows[: inside.start], rows[inside.stop :]
        found, found_size = rows[inside], size
        if detail is not None and size > 1:
            closer, closer_size = detail.closest(column, x, window, *self._stretch(x, window), self)
            if closer_size < size:
                found_size = closer_size
                left, right = before.x[-1:], after.x[:1]
                closer = closer[slice(np.searchsorted(closer.x, left[0], "right") if len(left) else 0,
                                      np.searchsorted(closer.x, right[0]) if len(right) else None)]
                # What has not filled a bucket yet is held step by step.
                end = np.searchsorted(found.x, closer.x[-1], "right") if len(closer.x) else 0
                found = joined([closer, found[end:]])
        parts = [thinned(before, points // 4, size), thinned(found, points, found_size),
                 thinned(after, points // 4, size)]
        return chained([part for part in parts if len(part)])

    def _stretch(self, x: X, window: tuple[float, float]) -> tuple[int, int]:
        """The rows of the run file, from 0, in which a window lies."""
        level = next(level for level in self._levels if level.reaches_back)
        where = level.last_step.values if x == "step" else level.t_ms.values / 1000
        first, last = np.searchsorted(where, window)
        size = level.steps_per_bucket
        return max(0, int(first) - 1) * size, min(self.seq, (int(last) + 2) * size)

    def _rows(self, column: str, x: X) -> tuple[Rows, int]:
        """The whole run, and how many steps its coarsest rows stand for."""
        start = 0
        parts: list[Rows] = []
        coarsest = next((level for level in self._levels if level.reaches_back), None)
        if not self.is_whole and coarsest is not None:
            for level in reversed(self._levels[: coarsest.number]):
                first_bucket = -(-start // level.steps_per_bucket)
                parts.append(level.rows(column, x, first_bucket, self.warmup_steps, self.profiled_from))
                start = max(start, (level.newest_before(self.profiled_from) + 1) * level.steps_per_bucket)
        newest = slice(int(np.searchsorted(self._raw_seq.values, start, side="right")),
                       int(np.searchsorted(self.raw("step"), self.profiled_from)))
        where = self.raw("step")[newest] if x == "step" else self.raw("t_ms")[newest] / 1000
        parts.append(single_steps(where, self.raw(column)[newest], self._counting()[newest]))
        return joined(parts), coarsest.steps_per_bucket if len(parts) > 1 and coarsest else 1


def read_measured(reader: RunReader, column: str) -> Floats:
    """The values of one column at all steps of a run that count in statistics."""
    values, clean, disturbed = [np.empty(0)], [np.empty(0, np.bool_)], [np.empty(0, np.bool_)]
    seq = 0
    while len((rows := reader.steps(after_seq=seq, columns=("phase", "taint", column)))["seq"]):
        masks = clean_and_disturbed(rows)
        kept = masks[0] | masks[1]
        values.append(rows[column][kept])
        clean.append(masks[0][kept])
        disturbed.append(masks[1][kept])
        seq = int(rows["seq"][-1])
    are_clean = np.concatenate(clean)
    if do_disturbed_count(int(np.count_nonzero(np.concatenate(disturbed))), int(np.count_nonzero(are_clean))):
        return np.concatenate(values)
    return np.concatenate(values)[are_clean]
