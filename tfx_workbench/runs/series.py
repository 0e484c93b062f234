"""One quantity over a run, as few points as a screen can show, with every spike exact.

A point stands for one step, or for a group of neighbouring steps with their mean, minimum and maximum. Groups start at
the run's first step and double in size as the run grows, so points do not shimmer while it is live.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Series:
    """Points of one column; all arrays are [n]. `low` and `high` equal `mean` where a point is a single step."""

    x: Floats  # step number or seconds: of the last step of each point
    mean: Floats  # NaN where nothing was read
    low: Floats
    high: Floats
    phase_mask: NDArray[np.bool_]  # True where every step of the point counts in statistics
    steps_per_point: int = 1  # of the coarsest points

    def __len__(self) -> int:
        return len(self.x)


@dataclasses.dataclass(frozen=True)
class Rows:
    """What a series is made of: x, sums over groups of steps, extremes, number of values, whether they count; [n]."""

    x: Floats
    total: Floats
    low: Floats
    high: Floats
    count: Floats
    measured: NDArray[np.bool_]

    def __getitem__(self, chosen: slice) -> Rows:
        return Rows(*(getattr(self, field.name)[chosen] for field in dataclasses.fields(self)))


def single_steps(x: Floats, values: Floats, measured: NDArray[np.bool_]) -> Rows:
    """Rows of single steps; NaN values count as none."""
    known = np.isfinite(values)
    return Rows(x, np.where(known, values, 0.0), values, values, known.astype(np.float64), measured)


def joined(parts: list[Rows]) -> Rows:
    """Rows one after the other."""
    names = [field.name for field in dataclasses.fields(Rows)]
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def thinned(rows: Rows, points: int, steps_per_row: int = 1) -> Series:
    """At most `points` points: neighbours are put together by twos, fours, ... as far as it takes."""
    group = 1
    while len(rows.x) > points * group:
        group *= 2
    if group > 1:
        rows = _grouped(rows, np.arange(0, len(rows.x), group))
    mean = np.divide(rows.total, rows.count, out=np.full(len(rows.x), np.nan), where=rows.count > 0)
    # Rounding of a sum must not push a mean over the extremes that are exact.
    mean = np.clip(mean, rows.low, rows.high)
    return Series(rows.x, mean, rows.low, rows.high, rows.measured, group * steps_per_row)


def chained(parts: list[Series]) -> Series:
    """Stretches of a run one after the other."""
    def join(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])

    return Series(join("x"), join("mean"), join("low"), join("high"), join("phase_mask"),
                  max(part.steps_per_point for part in parts))


def halved(rows: Rows) -> Rows:
    """Neighbours by twos: half as many rows that still know every extreme."""
    starts = np.arange(0, len(rows.x), 2)
    return _grouped(rows, starts)


def _grouped(rows: Rows, starts: NDArray[np.int64]) -> Rows:
    ends = np.append(starts[1:], len(rows.x)) - 1
    return Rows(
        x=rows.x[ends], total=np.add.reduceat(rows.total, starts), low=np.fmin.reduceat(rows.low, starts),
        high=np.fmax.reduceat(rows.high, starts), count=np.add.reduceat(rows.count, starts),
        measured=np.logical_and.reduceat(rows.measured, starts),
    )
