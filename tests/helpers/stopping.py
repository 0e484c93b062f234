"""Many made-up comparisons that end as the program's do: how often their intervals hold the truth, which is 0.

The numbers are those of `hierarchy` for whole rounds with one step a block, for many comparisons at once.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from tfx_engine.protocol.interleaving import LEAST_ROUNDS
from tfx_workbench.analysis.hierarchy import NORMAL, looked, student
from tfx_workbench.analysis.precision import MARGIN, Scatter, rounds_needed
from tfx_workbench.runs.interval import Floats


def made(rng: np.random.Generator, count: int, rounds: int, blocks: int, between_processes: float,
         between_blocks: float, tails: int | None = None) -> Floats:
    """Differences of blocks [comparisons, rounds, blocks]; `tails`: freedom of Student's t, None: normal."""
    def noise(*shape: int) -> Floats:
        if tails is None:
            return rng.standard_normal(shape)
        return np.asarray(rng.standard_t(tails, shape) / math.sqrt(tails / (tails - 2)))

    return between_processes * noise(count, rounds, 1) + between_blocks * noise(count, rounds, blocks)


class Course:
    """Comparisons round by round: differences of blocks [comparisons, rounds, blocks]."""

    def __init__(self, blocks: Floats) -> None:
        self.count, self.rounds, self.blocks = blocks.shape
        means = blocks.mean(axis=2)
        self._sums, self._squares = np.cumsum(means, axis=1), np.cumsum(means**2, axis=1)
        self._within = np.cumsum(((blocks - means[:, :, None]) ** 2).sum(axis=2), axis=1)

    def after(self, rounds: int, z: float = NORMAL) -> tuple[Floats, Floats]:
        """Means and half-widths, as `hierarchy.paired` and `half_width` with `z` already as `looked` gives it."""
        mean, halves = self._sums[:, rounds - 1] / rounds, []
        if rounds > 1:
            halves.append(student(z, rounds - 1) * np.sqrt(self._variance(rounds) / rounds))
        if freedom := rounds * (self.blocks - 1):
            within = self._within[:, rounds - 1] / freedom
            halves.append(student(z, freedom) * np.sqrt(within / (rounds * self.blocks)))
        return mean, np.maximum.reduce(halves)

    def _variance(self, rounds: int) -> Floats:
        mean = self._sums[:, rounds - 1] / rounds
        return np.asarray(np.maximum(0.0, self._squares[:, rounds - 1] - rounds * mean**2) / (rounds - 1))

    def scatter(self, rounds: int) -> list[Scatter]:
        """What each has measured after so many rounds, as `precision.scatter_of`."""
        within = self._within[:, rounds - 1] / (rounds * (self.blocks - 1))
        between = np.maximum(0.0, self._variance(rounds) - within / self.blocks)
        return [Scatter(math.sqrt(w), math.sqrt(b), freedom=rounds - 1) for w, b in zip(within, between, strict=True)]


@dataclasses.dataclass(frozen=True)
class Ended:
    """How comparisons ended. `holds`, `reached`: shares of them; `rounds`: on average."""

    holds: float
    reached: float
    rounds: float


def ended(blocks: Floats, precision: float, looks: Sequence[int] | None = None, is_allowed_for: bool = True) -> Ended:
    """Each ends at the first of these `looks` (rounds; None: the program's) at which it is narrow, else at the last.

    `precision`: half-width in logarithms. `is_allowed_for`: the intervals are made for that, as the program's are.
    """
    looks = looks or range(LEAST_ROUNDS, blocks.shape[1] + 1)
    course = Course(blocks)
    mean, half, at = (np.full(len(blocks), math.nan) for _ in range(3))
    for rounds in looks:
        found, width = course.after(rounds, looked(NORMAL, rounds) if is_allowed_for else NORMAL)
        ends = np.isnan(at) & ((width <= precision) | (rounds == looks[-1]))
        mean[ends], half[ends], at[ends] = found[ends], width[ends], rounds
        if not np.isnan(at).any():
            break
    return Ended(float(np.mean(np.abs(mean) <= half)), float(np.mean(half <= precision)), float(at.mean()))


@dataclasses.dataclass(frozen=True)
class Told:
    """What comparisons told apart, shares of them; `asked` and `used`: rounds, on average."""

    same: float
    slower: float
    asked: float
    used: float


def told_apart(first: Floats, again: Floats, slower: Floats, precision_percent: float, measured: int) -> Told:
    """Comparisons of a baseline with its second copy (`again`) and with a slower run, as the program does them.

    Each gets as many rounds as the program asks for by what `measured` rounds of an earlier comparison (`first`) said,
    ends earlier where both intervals are narrow enough, and tells apart what lies beyond the noise of the two copies.
    """
    courses, count = [Course(again), Course(slower)], len(again)
    asked = np.array([min(rounds_needed(scatter, precision_percent, again.shape[2]), again.shape[1])
                      for scatter in Course(first).scatter(measured)])
    effects: list[tuple[bool, bool]] = [(False, False)] * count
    used = np.zeros(count)
    for rounds in range(LEAST_ROUNDS, int(asked.max()) + 1):
        found = [course.after(rounds, looked(NORMAL, rounds)) for course in courses]
        widest = np.maximum(found[0][1], found[1][1])
        ends = (used == 0) & ((np.expm1(widest) * 100 <= MARGIN * precision_percent) | (rounds == asked))
        for i in np.flatnonzero(ends):
            band = abs(found[0][0][i]) + found[0][1][i]
            effects[i] = (abs(found[0][0][i]) > found[0][1][i],
                          found[1][0][i] > found[1][1][i] and found[1][0][i] > band)
        used[ends] = rounds
    same, slow = zip(*effects, strict=True)
    return Told(float(np.mean(same)), float(np.mean(slow)), float(asked.mean()), float(used.mean()))


def precision_for(rounds: int, between_processes: float, between_blocks: float, blocks: int) -> float:
    """The half-width that is to be expected after so many rounds, were it not looked at before."""
    return student(NORMAL, rounds - 1) * math.sqrt((between_processes**2 + between_blocks**2 / blocks) / rounds)
