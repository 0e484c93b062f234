"""A column that keeps its newest rows in one contiguous array, and never more memory than that."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_FIRST = 256  # rows of the first allocation; it doubles from there


class Ring:
    """The newest `capacity` rows of a growing column; `suffix` is the shape of one row."""

    def __init__(self, capacity: int, suffix: tuple[int, ...] = (), dtype: DTypeLike = np.float64) -> None:
        self.capacity = capacity
        self.dropped = 0  # rows that were there once and are no longer
        self._start = self._stop = 0
        self._rows = np.empty((0, *suffix), dtype)

    def __len__(self) -> int:
        return self._stop - self._start

    @property
    def values(self) -> NDArray[Any]:
        """A read-only view of the rows, oldest first; valid until the next `extend`."""
        view = self._rows[self._start : self._stop]
        view.flags.writeable = False
        return view

    def extend(self, rows: NDArray[Any]) -> None:
        """Append rows [n, *suffix], dropping the oldest beyond the capacity."""
        surplus = max(0, len(rows) - self.capacity)
        rows = rows[surplus:]
        overflow = max(0, len(self) + len(rows) - self.capacity)
        self._start += overflow
        self.dropped += overflow + surplus
        self._make_room(len(rows))
        self._rows[self._stop : self._stop + len(rows)] = rows
        self._stop += len(rows)

    def replace(self, rows: NDArray[Any]) -> None:
        """Hold these rows [n, *suffix] instead, n <= the capacity, in the same memory; they may be views of it."""
        self._start = self._stop = 0
        self._make_room(len(rows))
        self._rows[: len(rows)] = rows
        self._stop = len(rows)

    def _make_room(self, count: int) -> None:
        if self._stop + count <= len(self._rows):
            return
        # A quarter more than the capacity at most: rows move to the front once in so many appended, not every time.
        needed = len(self) + count
        size = max(_FIRST, min(2 * needed, self.capacity + self.capacity // 4), needed)
        fresh = np.empty((size, *self._rows.shape[1:]), self._rows.dtype)
        fresh[: len(self)] = self._rows[self._start : self._stop]
        self._stop -= self._start
        self._start = 0
        self._rows = fresh
