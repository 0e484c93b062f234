"""The arrays by layer (gradient norms, update ratios) over a run, in bounded memory.

Steps are put together in groups of 1, 2, 4, ... as the run grows, with the largest value of each layer, so that no
spike is lost. Of a long run that is opened, the beginning comes from the run file's rollups.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rollup import FACTOR
from tfx_workbench.runs.stepcolumns import ROWS_A_CALL

CAPACITY = 1200  # groups
Steps = NDArray[np.int64]
Values = NDArray[np.float32]


class LayerColumns:
    """One array by layer: the largest values of groups of `group` steps."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.group = 1
        self._after_seq = 0
        self._newest_step = 0
        self._steps: Steps = np.empty(0, np.int64)  # the last step of each group
        self._values: Values = np.empty((0, 0), np.float32)

    def refresh(self, reader: RunReader, seq: int, until_step: float = math.inf) -> bool:
        """Read what is new up to about the step row `seq`, of steps before `until_step`; whether there was any."""
        if not len(self._steps) and seq > ROWS_A_CALL:
            self._read_rollups(reader, seq, until_step)
        steps, values = reader.layer_steps(self.column, after_seq=self._after_seq)
        self._after_seq = seq
        # Rows written since the steps were read come twice.
        fresh = (steps > self._newest_step) & (steps < until_step)
        self._append(steps[fresh], values[fresh])
        return bool(fresh.any())

    def _read_rollups(self, reader: RunReader, seq: int, until_step: float) -> None:
        level = 1
        while seq // FACTOR**level > ROWS_A_CALL:
            level += 1
        rows = reader.rollup(level)
        arrays = rows[self.column]
        self.group = FACTOR**level
        count = int(np.searchsorted(rows["last_step"], until_step))
        self._after_seq = count * self.group
        known = [i for i, array in enumerate(arrays[:count]) if array is not None]
        if known:
            self._append(rows["last_step"][known], np.stack([arrays[i][0] for i in known]))

    def _append(self, steps: Steps, values: Values) -> None:
        if not len(steps):
            return
        self._newest_step = int(steps[-1])
        if not len(self._steps):
            self._values = np.empty((0, values.shape[1]), np.float32)
        steps, values = np.concatenate([self._steps, steps]), np.concatenate([self._values, values])
        self._steps, self._values = grouped(steps, values, self.group)
        while len(self._steps) > CAPACITY:
            self.group *= 2
            self._steps, self._values = grouped(self._steps, self._values, self.group)

    def columns(self, most: int) -> tuple[Steps, Values]:
        """At most `most` groups: the last step of each [n] and the largest values [n, layers]."""
        steps, values, group = self._steps, self._values, self.group
        while len(steps) > most:
            group *= 2
            steps, values = grouped(steps, values, group)
        return steps, values


def grouped(steps: Steps, values: Values, group: int) -> tuple[Steps, Values]:
    """Neighbours whose steps lie in the same run of `group` steps, as one."""
    if group == 1 or not len(steps):
        return steps, values
    numbers = (steps - 1) // group
    starts = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
    ends = np.append(starts[1:], len(steps)) - 1
    return steps[ends], np.fmax.reduceat(values, starts, axis=0)
