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
from tfx_workbench.runs.interval import Floats


def made(rng: np.random.Generator, count: int, rounds: int, blocks: int, between_processes: float,
         between_blocks: float, tails: int | None = None) -> Floats:
    """Differences of blocks [comparisons, rounds, blocks]; `tails`: freedom of Student's t, None: normal."""
    def noise(*shape: int) -> Floats:
        if tails is None:
            return rng.standard_normal(shape)
        return np.asarray(rng.standard_t(tails, shape) / math.sqrt(tails / (tails - 2)))

    return between_processes * noise(count, rounds, 1) + between_blocks * noise(count, rounds, blocks)


def means_and_halves(blocks: Floats, rounds: int, z: float = NORMAL) -> tuple[Floats, Floats]:
    """After so many rounds, as `hierarchy.paired` and `half_width` with `z` already as `looked` gives it."""
    seen = blocks[:, :rounds]
    means = seen.mean(axis=2)
    halves = []
    if rounds > 1:
        halves.append(student(z, rounds - 1) * means.std(axis=1, ddof=1) / math.sqrt(rounds))
    freedom = rounds * (blocks.shape[2] - 1)
    if freedom:
        within = ((seen - means[:, :, None]) ** 2).sum(axis=(1, 2)) / freedom
        halves.append(student(z, freedom) * np.sqrt(within / (rounds * blocks.shape[2])))
    return means.mean(axis=1), np.maximum.reduce(halves)


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
    mean, half, at = (np.full(len(blocks), math.nan) for _ in range(3))
    going = np.arange(len(blocks))
    for rounds in looks:
        if not going.size:
            break
        z = looked(NORMAL, rounds) if is_allowed_for else NORMAL
        found, width = means_and_halves(blocks[going], rounds, z)
        ends = (width <= precision) | (rounds == looks[-1])
        mean[going[ends]], half[going[ends]], at[going[ends]] = found[ends], width[ends], rounds
        going = going[~ends]
    return Ended(float(np.mean(np.abs(mean) <= half)), float(np.mean(half <= precision)), float(at.mean()))


def precision_for(rounds: int, between_processes: float, between_blocks: float, blocks: int) -> float:
    """The half-width that is to be expected after so many rounds, were it not looked at before."""
    return student(NORMAL, rounds - 1) * math.sqrt((between_processes**2 + between_blocks**2 / blocks) / rounds)
