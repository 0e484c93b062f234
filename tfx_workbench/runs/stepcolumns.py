"""The steps of one run in bounded memory: the newest as they were measured, all of them in rollups.

Kept are the newest `CAPACITY` steps and, of a run that is longer, groups of steps from its first on (`Whole`). Charts
take the groups, continued by ever finer buckets (`Tail`) where none is complete yet, and at last by single steps.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfx_engine.protocol.taint import do_disturbed_count
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rollup import FACTOR
from tfx_engine.runfile.tables import ROLLUP_COLUMNS
from tfx_workbench.runs.detail import Detail
from tfx_workbench.runs.ring import Ring
from tfx_workbench.runs.rollupcolumns import Tail, Whole, X
from tfx_workbench.runs.series import Floats, Rows, Series, chained, joined, single_steps, thinned
from tfx_workbench.runs.taints import clean_and_disturbed

CAPACITY = 8192  # rows
ROWS_A_CALL = 20_000
SERIES_KEPT = 16


class StepColumns:
    """Everything that is recorded once per step, but the arrays by layer."""

    def __init__(self) -> None:
        self.seq = 0  # of the newest step read
        self.warmup_steps = 0
        self._raw = {name: Ring(CAPACITY) for name in (*ROLLUP_COLUMNS, "step", "t_ms")}
        self._raw_seq = Ring(CAPACITY, dtype=np.int64)
        self._clean = Ring(CAPACITY, dtype=np.bool_)  # measured, and nothing disturbed them
        self._disturbed = Ring(CAPACITY, dtype=np.bool_)  # measured, and something from outside did
        self._whole = Whole()  # empty until the run is longer
        self._tails: list[Tail] = []  # of level 1, 2, ...
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
        self._refresh_rollups(reader)
        return True

    def _refresh_rollups(self, reader: RunReader) -> None:
        if self.seq <= CAPACITY:
            return
        self._whole.refresh(reader, self.seq)
        while FACTOR ** (len(self._tails) + 1) <= self._whole.group:
            self._tails.append(Tail(len(self._tails) + 1))
        for tail in self._tails:
            tail.refresh(reader, self.seq)

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
        first, last = np.searchsorted(self._whole.where(x), window)
        size = self._whole.group
        return max(0, int(first) - 1) * size, min(self.seq, (int(last) + 2) * size)

    def _rows(self, column: str, x: X) -> tuple[Rows, int]:
        """The whole run, and how many steps its coarsest rows stand for."""
        begin = 0
        parts: list[Rows] = []
        if not self.is_whole and len(self._whole):
            parts.append(self._whole.rows(column, x, self.warmup_steps, self.profiled_from))
            begin = self._whole.ended_before(self.profiled_from)
            for tail in reversed(self._tails):
                parts.append(tail.rows(column, x, begin, self.warmup_steps, self.profiled_from))
                begin = max(begin, tail.ended_before(self.profiled_from))
        newest = slice(int(np.searchsorted(self._raw_seq.values, begin, side="right")),
                       int(np.searchsorted(self.raw("step"), self.profiled_from)))
        where = self.raw("step")[newest] if x == "step" else self.raw("t_ms")[newest] / 1000
        parts.append(single_steps(where, self.raw(column)[newest], self._counting()[newest]))
        return joined(parts), self._whole.group if len(parts) > 1 else 1


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
