"""A run that is longer than what is held step by step, from its first step on: the run file's rollups, in few rows.

The file holds rollups of 16, 256, 4096, ... steps. `Whole` covers the run in groups of steps that double in size as it
grows; `Tail` holds the newest buckets of one level, which continue it where no group is complete yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rollup import FACTOR, merge
from tfx_engine.runfile.tables import ROLLUP_COLUMNS
from tfx_workbench.runs.ring import Ring
from tfx_workbench.runs.series import Floats, Rows

MOST_GROUPS = 4096
TAIL = 512  # buckets: those that no group holds yet, and those before profiled steps at a run's end
X = Literal["step", "t_s"]
_SHAPE = (len(ROLLUP_COLUMNS), 4)  # minimum, maximum, sum, count


class Whole:
    """At most `MOST_GROUPS` groups of `group` steps each, from the first step of the run on."""

    def __init__(self) -> None:
        self.group = FACTOR
        self._last_step, self._t_ms = Ring(MOST_GROUPS), Ring(MOST_GROUPS)
        self._data = Ring(MOST_GROUPS, _SHAPE)

    def __len__(self) -> int:
        return len(self._last_step)

    def refresh(self, reader: RunReader, seq: int) -> None:
        """Take in the groups that are complete as of the step row `seq`."""
        if not len(self):
            while seq // self.group > 4 * MOST_GROUPS:  # of a run that is opened late, few rows are read
                self.group *= FACTOR
        level, buckets = self._level()
        rows = reader.rollup(level, after_bucket=len(self) * buckets - 1, layers=False)
        count = len(rows["last_step"]) // buckets
        if not count:
            return
        found = [rows[name][: count * buckets] for name in ("last_step", "t_ms", "data")]
        self._append(*merged(found[0], found[1], found[2], buckets))

    def _append(self, *added: Floats) -> None:
        held = (self._last_step, self._t_ms, self._data)
        if len(self) + len(added[0]) <= MOST_GROUPS:
            for ring, rows in zip(held, added, strict=True):
                ring.extend(rows)
            return
        groups = [np.concatenate([ring.values, rows]) for ring, rows in zip(held, added, strict=True)]
        while len(groups[0]) > MOST_GROUPS:
            self.group *= 2
            even = len(groups[0]) // 2 * 2  # the odd one comes back with its neighbour
            groups = list(merged(groups[0][:even], groups[1][:even], groups[2][:even], 2))
        for ring, rows in zip(held, groups, strict=True):
            ring.replace(rows)

    def _level(self) -> tuple[int, int]:
        """The coarsest level of the file that groups are made of, and how many of its buckets make one."""
        level = 1
        while self.group % FACTOR ** (level + 1) == 0:
            level += 1
        return level, int(self.group // FACTOR**level)

    def ended_before(self, step: float) -> int:
        """The rows of the run, from its first, up to the end of the newest group before a step."""
        return int(np.searchsorted(self._last_step.values, step)) * self.group

    def where(self, x: X) -> Floats:
        """Where each group ends: steps, or seconds."""
        return self._last_step.values if x == "step" else self._t_ms.values / 1000

    def rows(self, column: str, x: X, warmup_steps: int, until_step: float) -> Rows:
        """The groups as rows of a series, as far as they end before `until_step`."""
        last_step = self._last_step.values
        chosen = slice(0, int(np.searchsorted(last_step, until_step)))
        return _rows(self.where(x)[chosen], self._data.values[chosen], last_step[chosen], column,
                     self.group, warmup_steps)


class Tail:
    """The newest buckets of one level."""

    def __init__(self, number: int) -> None:
        self.steps_per_bucket = int(FACTOR**number)
        self._number = number
        self._bucket = Ring(TAIL, dtype=np.int64)
        self._last_step, self._t_ms = Ring(TAIL), Ring(TAIL)
        self._data = Ring(TAIL, _SHAPE)

    def refresh(self, reader: RunReader, seq: int) -> None:
        """Take in what is new as of the step row `seq`."""
        held = self._bucket.values
        after = int(held[-1]) if len(held) else seq // self.steps_per_bucket - TAIL - 1
        found: Mapping[str, NDArray[Any]] = reader.rollup(self._number, after_bucket=max(-1, after), layers=False)
        for ring, name in ((self._bucket, "bucket"), (self._last_step, "last_step"), (self._t_ms, "t_ms"),
                           (self._data, "data")):
            ring.extend(found[name])

    def ended_before(self, step: float) -> int:
        """The rows of the run up to the end of the newest bucket before a step; 0 where none is held."""
        count = int(np.searchsorted(self._last_step.values, step))
        return (int(self._bucket.values[count - 1]) + 1) * self.steps_per_bucket if count else 0

    def rows(self, column: str, x: X, begin: int, warmup_steps: int, until_step: float) -> Rows:
        """The buckets from the row `begin` of the run on, as far as they end before `until_step`."""
        first = -(-begin // self.steps_per_bucket)
        last_step = self._last_step.values
        chosen = slice(int(np.searchsorted(self._bucket.values, first)), int(np.searchsorted(last_step, until_step)))
        where = last_step[chosen] if x == "step" else self._t_ms.values[chosen] / 1000
        return _rows(where, self._data.values[chosen], last_step[chosen], column, self.steps_per_bucket, warmup_steps)


def merged(last_step: Floats, t_ms: Floats, data: Floats, count: int) -> tuple[Floats, Floats, Floats]:
    """Neighbours, `count` at a time, as one: where the last ends, extremes, sums and counts; data [n, columns, 4]."""
    of_each = data.reshape(-1, count, *data.shape[1:]).swapaxes(0, 1)
    return last_step[count - 1 :: count], t_ms[count - 1 :: count], merge(of_each)


def _rows(where: Floats, data: Floats, last_step: Floats, column: str, size: int, warmup_steps: int) -> Rows:
    low, high, total, count = data[:, ROLLUP_COLUMNS.index(column)].T
    return Rows(where, total, low, high, count, last_step - size >= warmup_steps)
