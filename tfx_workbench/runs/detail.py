"""A stretch of a long run in more detail than is held of the whole: read when somebody looks at it closely.

Rollups and steps are read in pages, the newest used of which are kept: moving along a curve reads little, and zooming
in reads one page of each finer level.
"""

from __future__ import annotations

import functools
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rollup import FACTOR
from tfx_engine.runfile.tables import ROLLUP_COLUMNS
from tfx_workbench.runs.series import Rows, single_steps
from tfx_workbench.runs.taints import clean_and_disturbed

PAGE = 512  # buckets, or steps
MOST_ROWS = 3200  # of a stretch: a panel shows a quarter of that
PAGES_KEPT = 64  # 16 KiB of numbers each and what Python needs around them


class Steps(Protocol):
    """What is to be known of the run: its newest row, how many steps were warm-up, which are only profiled."""

    seq: int
    warmup_steps: int
    profiled_from: float


class Detail:
    """Reads stretches of one run. A stretch is told in rows of the run file (`seq`), from 0."""

    def __init__(self, reader: RunReader) -> None:
        self._reader = reader
        self._page = functools.lru_cache(PAGES_KEPT)(self._read_page)

    def steps_per_row(self, first: int, last: int) -> int:
        """How many steps each row of that stretch stands for."""
        return int(FACTOR ** _level(first, last))

    def closest(
        self, column: str, x: str, window: tuple[float, float], first: int, last: int, run: Steps
    ) -> tuple[Rows, int]:
        """The finest rows of a `window` of x, which lies between two rows of the file, and how many steps each is for.

        What is known of the whole run may only tell a stretch that is much longer than the window: each finer level
        tells it more closely, until the next would be too many rows.
        """
        while True:
            size = self.steps_per_row(first, last)
            found = self.rows(column, x, first, last, run)
            begin, end = (int(at) for at in np.searchsorted(found.x, window))
            start = first // size
            first, last = max(first, (start + begin - 1) * size), min(last, (start + end + 2) * size)
            if self.steps_per_row(first, last) == size:
                return found, size

    def rows(self, column: str, x: str, first: int, last: int, run: Steps) -> Rows:
        """The rows from `first` to `last` (exclusive); they may begin before, and end where no bucket is full yet."""
        level = _level(first, last)
        size = FACTOR**level
        found = []
        for number in range(first // (size * PAGE), -(-last // (size * PAGE))):
            is_full = (number + 1) * size * PAGE <= run.seq
            page = self._page(level, number, 0 if is_full else run.seq)  # what still grows is read again
            found += [page] if page is not None else []
        held = {name: np.concatenate([page[name] for page in found]) for name in (found[0] if found else ())}
        if not held:
            return single_steps(np.empty(0), np.empty(0), np.empty(0, np.bool_))
        inside = (held["row"] >= first // size) & (held["row"] < -(-last // size))
        inside &= held["last_step"] < run.profiled_from
        where = held["last_step"][inside] if x == "step" else held["t_ms"][inside] / 1000
        if level == 0:
            return single_steps(where, held[column][inside], held["measured"][inside])
        low, high, total, count = held["data"][inside, ROLLUP_COLUMNS.index(column)].T
        return Rows(where, total, low, high, count, held["last_step"][inside] - size >= run.warmup_steps)

    def _read_page(self, level: int, number: int, _as_of: int) -> dict[str, NDArray[Any]] | None:
        if level == 0:
            rows = self._reader.steps(after_seq=number * PAGE, limit=PAGE)
            if not len(rows["seq"]):
                return None
            clean, disturbed = clean_and_disturbed(rows)
            columns = {name: rows[name] for name in ROLLUP_COLUMNS}
            return {**columns, "row": rows["seq"] - 1, "last_step": rows["step"], "t_ms": rows["t_ms"],
                    "measured": clean | disturbed}
        found = self._reader.rollup(level, number * PAGE - 1, layers=False, limit=PAGE)
        if not len(found["bucket"]):
            return None
        return {"row": found["bucket"], **{name: found[name] for name in ("last_step", "t_ms", "data")}}


def _level(first: int, last: int) -> int:
    level = 0
    while (last - first) // FACTOR**level > MOST_ROWS:
        level += 1
    return level
