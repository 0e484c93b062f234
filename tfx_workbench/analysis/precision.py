"""How many rounds of an interleaved comparison an interval of a wanted width takes, before it and while it goes on.

The scatter of a difference has two parts: between the blocks of one process, and between processes. After P rounds of
B blocks its standard error is sqrt((between_processes^2 + between_blocks^2 / B) / P); how few processes there are
widens the interval once more, by Student's t. (Components of variance: Kalibera & Jones, "Rigorous benchmarking in
reasonable time", 2013.) What an interval will be is itself a matter of chance, the more so the fewer processes it and
the scatter that was measured before come from: the ratio of two such variances is Fisher's F. Asked for is the time
after which nine of ten comparisons are as narrow as wanted (and a tenth more: `MARGIN`); they end as soon as they are.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from tfx_engine.protocol.interleaving import LEAST_ROUNDS
from tfx_workbench.analysis.hierarchy import Tree, looked, student
from tfx_workbench.runs.interval import LEVEL

MOST_ROUNDS = 1000
SURE = 0.9  # of the comparisons are as narrow as wanted within what is asked for
# Of the wanted half-width: an effect is told apart only beyond the far end of the interval of two equal runs, too, and
# with this little more, one of twice the wanted half-width is in nine of ten comparisons.
MARGIN = 0.9


@dataclasses.dataclass(frozen=True)
class Scatter:
    """Standard deviations of the logarithm of a ratio; `is_measured` on this machine, or seen on another.

    `freedom`: of how many processes they come, less one; None where they are known.
    """

    between_blocks: float
    between_processes: float
    is_measured: bool = True
    freedom: int | None = None


# Two cores, two identical models, blocks of three steps of 91 ms; five fresh pairs of processes.
ELSEWHERE = Scatter(between_blocks=0.055, between_processes=0.02, is_measured=False, freedom=4)


def scatter_of(baseline: Tree, other: Tree) -> Scatter | None:
    """The scatter of the difference of two trees of logarithms; None with less than two processes or blocks in each."""
    rows = [np.array([np.median(b) - np.median(a) for a, b in zip(one, two, strict=True)])
            for one, two in zip(baseline, other, strict=True)]
    rows = [row for row in rows if row.size > 1]
    if len(rows) < 2:
        return None
    within = sum(float(((row - row.mean()) ** 2).sum()) for row in rows) / sum(row.size - 1 for row in rows)
    means = np.array([row.mean() for row in rows])
    per_mean = within * float(np.mean([1 / row.size for row in rows]))
    return Scatter(math.sqrt(within), math.sqrt(max(0.0, float(means.var(ddof=1)) - per_mean)), freedom=len(rows) - 1)


def half_width_percent(scatter: Scatter, rounds: int, blocks: int, family: int = 1, sure: float = 0.0) -> float:
    """The half-width that is to be expected after so many rounds, of `family` comparisons at once.

    `sure`: how many of all comparisons are to be at least that narrow (0.9, say); 0: the one to be expected.
    """
    if rounds < 2:
        return math.inf
    z = looked(NormalDist().inv_cdf(1 - (1 - LEVEL) / (2 * max(1, family))), rounds)
    error = math.sqrt((scatter.between_processes**2 + scatter.between_blocks**2 / blocks) / rounds)
    chance = math.sqrt(f_quantile(sure, rounds - 1, scatter.freedom)) if sure else 1.0
    return math.expm1(min(student(z, rounds - 1) * error * chance, 50.0)) * 100


def f_quantile(level: float, freedom: int, other: int | None) -> float:
    """The quantile of Fisher's F, `other` None being infinitely many (Paulson, "An approximate normalization of the
    analysis of variance distribution", 1942)."""
    z, a, b = NormalDist().inv_cdf(level), 0.0 if other is None else 2 / (9 * other), 2 / (9 * freedom)
    one, two = 1 - a, 1 - b
    below = one**2 - z**2 * a
    return float(((one * two + z * math.sqrt(max(0.0, one**2 * b + two**2 * a - z**2 * a * b))) / below) ** 3)


def rounds_needed(
    scatter: Scatter, precision_percent: float, blocks: int, family: int = 1, sure: float = SURE
) -> int:
    """The fewest rounds after which that many of all intervals (`sure`) are that narrow; at most `MOST_ROUNDS`."""
    low, high = LEAST_ROUNDS, MOST_ROUNDS
    while low < high:
        middle = (low + high) // 2
        if half_width_percent(scatter, middle, blocks, family, sure) <= MARGIN * precision_percent:
            high = middle
        else:
            low = middle + 1
    return low


@dataclasses.dataclass(frozen=True)
class Pace:
    """What rounds take. `own_s`: the steps that all runs do for themselves in the first one, None: not known."""

    start_s: float  # of the processes of a round
    block_s: float
    own_s: float | None = None

    def seconds(self, rounds: int, blocks: int) -> float:
        """What so many rounds take."""
        first = self.block_s * blocks if self.own_s is None else self.own_s
        return rounds * self.start_s + first + (rounds - 1) * blocks * self.block_s

    def rounds_within(self, seconds: float, blocks: int) -> int:
        """How many rounds there is time for."""
        left = seconds - self.seconds(1, blocks)
        return 1 + max(0, int(left / max(1e-3, self.start_s + blocks * self.block_s)))


def pace_before(
    step_ms: Sequence[float], own_steps: Sequence[int], start_s: float, turn_steps: int, turn_ms: float
) -> Pace:
    """The pace to be expected of runs with these step times, one of each a turn; the first step of a turn is extra."""
    turns = [max(turn_steps, math.ceil(turn_ms / max(ms, 1e-3))) + 1 for ms in step_ms]
    block_s = sum(ms * steps for ms, steps in zip(step_ms, turns, strict=True)) / 1000
    own = sum(ms * steps for ms, steps in zip(step_ms, own_steps, strict=True)) / 1000
    return Pace(start_s, block_s, own * (1 + 1 / turn_steps))
