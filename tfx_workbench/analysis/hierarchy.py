"""Paired measurements within blocks within processes: how far two configurations differ, and how well that is known.

Steps of one block are alike, blocks of one process are alike (where its memory lies, what the allocator did), so the
bootstrap draws processes, then blocks of each, then steps of each block, all with replacement (Davison & Hinkley,
"Bootstrap Methods and their Application", 1997, section 3.8; for run times: Kalibera & Jones, "Rigorous benchmarking in
reasonable time", 2013). Drawing at every level counts the scatter below the uppermost twice, and a percentile of a
handful of processes is too narrow. So the draws give the shape, and how several comparisons hang together; the width is
the standard error between processes with Student's t for their number, or that between the blocks within them where
that says more: a few processes that agree by chance are no better known than their blocks allow.

A comparison that ends as soon as its intervals are narrow ends rather when they are so by chance: made for 95 %, they
held the truth in as few as 90 of 100 (Robbins, "Sequential estimation of the mean of a normal population", 1959). So it
is looked at after whole rounds only, from `LEAST_ROUNDS` on, and from then on intervals are made for `LOOKED_AT`, with
which at least 95 of 100 hold it: tests/bench/test_coverage.py.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from tfx_engine.protocol.interleaving import LEAST_ROUNDS
from tfx_workbench.runs.interval import LEVEL, RESAMPLES, Floats

NORMAL = NormalDist().inv_cdf((1 + LEVEL) / 2)
LOOKED_AT = 0.97  # what intervals are made for that are to hold in 95 % of the comparisons that end early

# processes > blocks > logarithms of the steps' measurements
Tree = Sequence[Sequence[Floats]]


@dataclasses.dataclass(frozen=True, eq=False)
class Paired:
    """The mean of a sum of trees of logarithms. `error`: its standard error; NaN where it cannot be known.

    `draws` [resamples]: the difference as the bootstrap has it, for what several comparisons have in common.
    """

    mean: float
    error: float
    freedom: int  # degrees of freedom of `error`
    draws: Floats
    processes: int
    blocks: int  # of all processes


def paired(baseline: Tree, other: Tree, seed: int = 0, resamples: int = RESAMPLES) -> Paired:
    """`other` minus `baseline`, block by block; see `combined`."""
    _check([baseline, other])
    draws = [block_draws(tree, (seed, place), resamples) if resamples else None
             for place, tree in enumerate((baseline, other))]
    return combined([baseline, other], [-1.0, 1.0], draws, seed)


def combined(
    trees: Sequence[Tree], weights: Sequence[float], draws: Sequence[Tree | None] | None = None, seed: int = 0
) -> Paired:
    """The weighted sum of trees, block by block: all have the same processes and blocks, with steps in every block.

    `draws`: those of each tree as `block_draws` gives them; a single comparison needs none. Trees of the same shape and
    the same seed have the same processes and blocks drawn, so that the draws of several comparisons belong together.
    Raises ValueError where the shapes differ or a block is empty.
    """
    sizes = _check(trees)
    medians = [[np.array([np.median(steps) for steps in process]) for process in tree] for tree in trees]
    means = [_weighted(weights, process) for process in zip(*medians, strict=True)]
    mean = float(np.mean([process.mean() for process in means]))
    error, freedom = _standard_error(means)
    known = [tree for tree in draws or () if tree is not None]
    if len(known) < len(trees):
        return Paired(mean, error, freedom, np.empty(0), len(sizes), sum(sizes))
    steps = [[_weighted(weights, block) for block in zip(*process, strict=True)]
             for process in zip(*known, strict=True)]
    return Paired(mean, error, freedom, draw_processes(steps, np.random.default_rng((seed, 2))), len(sizes), sum(sizes))


def _check(trees: Sequence[Tree]) -> list[int]:
    """How many blocks the processes have."""
    sizes = [len(process) for process in trees[0]]
    if any([len(process) for process in tree] != sizes for tree in trees) or not all(sizes) or not sizes:
        raise ValueError("they have other processes or blocks")
    if not all(steps.size for tree in trees for process in tree for steps in process):
        raise ValueError("a block has no steps")
    return sizes


def _weighted(weights: Sequence[float], values: Sequence[Floats]) -> Floats:
    total = np.zeros(values[0].shape)
    for weight, value in zip(weights, values, strict=True):
        total += weight * value
    return total


def _standard_error(means: Sequence[Floats]) -> tuple[float, int]:
    """Between processes, or between the blocks within them, with its degrees of freedom: whichever is the wider."""
    processes = len(means)
    found: list[tuple[float, int]] = []
    if processes > 1:
        values = np.array([process.mean() for process in means])
        found.append((float(values.std(ddof=1) / math.sqrt(processes)), processes - 1))
    freedom = sum(process.size for process in means) - processes
    if freedom > 0:
        within = sum(float(((process - process.mean()) ** 2).sum()) for process in means) / freedom
        found.append((math.sqrt(within * sum(1 / process.size for process in means)) / processes, freedom))
    return max(found, key=lambda pair: student(NORMAL, pair[1]) * pair[0], default=(math.nan, 0))


def block_draws(tree: Tree, key: tuple[int, ...], resamples: int = RESAMPLES) -> Tree:
    """For each process and block the medians [resamples] of steps drawn from it; what has the same key draws alike."""
    return [_step_draws(blocks, (*key, process), resamples) for process, blocks in enumerate(tree)]


def _step_draws(blocks: Sequence[Floats], seed: tuple[int, ...], resamples: int) -> list[Floats]:
    rng = np.random.default_rng(seed)
    found = []
    for steps in blocks:
        found.append(np.median(steps[rng.integers(0, steps.size, (resamples, steps.size))], axis=1))
    return found


def draw_processes(steps: Sequence[Sequence[Floats]], rng: np.random.Generator) -> Floats:
    """Draws [resamples] of the mean over processes of the mean over blocks; `steps` are draws of each block."""
    resamples = steps[0][0].size
    lines = np.arange(resamples)[:, None]
    within = []
    for blocks in steps:
        values = np.stack(blocks)  # [blocks, resamples]
        chosen = rng.integers(0, len(blocks), (resamples, len(blocks)))
        within.append(values[chosen, lines].mean(axis=1))
    if len(within) == 1:
        return np.asarray(within[0])
    processes = np.stack(within)
    chosen = rng.integers(0, len(within), (resamples, len(within)))
    # A process that is drawn twice has other blocks drawn each time.
    return np.asarray(processes[chosen, rng.integers(0, resamples, chosen.shape)].mean(axis=1))


def critical(draws: Sequence[Floats]) -> float:
    """How many standard errors hold all of several comparisons at once in 95 % of cases; 1.96 for one of them.

    The quantile of the largest standardised deviation of each draw (single-step max-t: Westfall & Young,
    "Resampling-based multiple testing", 1993), never less than for one comparison.
    """
    known = [d for d in draws if d.size and d.std() > 0]
    if len(known) < 2:
        return NORMAL
    largest = np.max([np.abs(d - d.mean()) / d.std() for d in known], axis=0)
    return max(NORMAL, float(np.quantile(largest, LEVEL)))


def student(z: float, freedom: int) -> float:
    """The quantile of Student's t where the normal distribution has `z` > 0 (Hill, "Algorithm 396", CACM 13, 1970)."""
    tails = math.erfc(z / math.sqrt(2))
    if freedom == 1:
        return 1 / math.tan(tails * math.pi / 2)
    if freedom == 2:
        return math.sqrt(2 / (tails * (2 - tails)) - 2)
    a = 1 / (freedom - 0.5)
    b = 48 / a**2
    c = ((20700 * a / b - 98) * a - 16) * a + 96.36
    d = ((94.5 / (b + c) - 3) / b + 1) * math.sqrt(a * math.pi / 2) * freedom
    y = (d * tails) ** (2 / freedom)
    if y > 0.05 + a:
        x = -z
        if freedom < 5:
            c += 0.3 * (freedom - 4.5) * (x + 0.6)
        c += (((0.05 * d * x - 5) * x - 7) * x - 2) * x + b
        y = x**2
        y = math.expm1(a * ((((((0.4 * y + 6.3) * y + 36) * y + 94.5) / c - y - 3) / b + 1) * x) ** 2)
    else:
        y = ((1 / (((freedom + 6) / (freedom * y) - 0.089 * d - 0.822) * (freedom + 2) * 3) + 0.5 / (freedom + 4)) * y
             - 1) * (freedom + 1) / (freedom + 2) + 1 / y
    return math.sqrt(freedom * y)


def half_width(found: Paired, z: float = NORMAL) -> float:
    """From the mean to each end of the 95 % interval, in logarithms; `z` as `critical` gives it."""
    return student(looked(z, found.processes), found.freedom) * found.error if found.freedom else math.nan


def looked(z: float, processes: int) -> float:
    """How many standard errors hold, of a comparison that may end early, what `z` holds of one that does not."""
    if processes < LEAST_ROUNDS:
        return z
    tails = math.erfc(z / math.sqrt(2)) * (1 - LOOKED_AT) / (1 - LEVEL)
    return NormalDist().inv_cdf(1 - tails / 2)
