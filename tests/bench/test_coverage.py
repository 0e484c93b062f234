"""How often the intervals of comparisons that end early hold the truth, how much longer that takes, and how often 10 %
are found within the time that the program asks for.

Made-up comparisons of two equal configurations, thousands at a time: their processes and blocks scatter, normally or
with heavy tails, so that a comparison that is not looked at would need from 4 to 45 rounds for the wanted precision.
Three ways to end: after any round from the third on, with 95 % intervals that allow for nothing; as the program does;
and never before the end. With `--recorded FILE...` (runs of one configuration, however they were measured) blocks of
three steps are drawn from theirs instead: each process of a comparison is a stretch of one of them beside a stretch of
one of them, so that spells of the machine scatter the processes.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.stopping import Ended, ended, made, precision_for, told_apart
from tfx_workbench.runs.interval import Floats
from tfx_workbench.runs.rundata import RunData

COUNT, ROUNDS, BLOCKS = 4000, 100, 4
NEEDED = (4, 6, 8, 10, 14, 20, 30, 45)
NOISE = {
    "processes scatter": (0.05, 0.01, None), "both scatter": (0.02, 0.05, None), "blocks scatter": (0.0, 0.05, None),
    "processes, heavy tails": (0.05, 0.01, 4), "both, heavy tails": (0.02, 0.05, 3),
}  # fmt: skip
PRECISION, MEASURED, MOST = 5.0, 15, 1000  # per cent; rounds that were measured before; rounds at most
LEAST = 0.945  # 95 %, less 1.5 standard deviations of what is simulated


def line(title: str, needed: int, precision: float, blocks: Floats) -> Ended:
    """One line of the table; how those ended that end as the program's do."""
    naive = ended(blocks, precision, range(3, blocks.shape[1] + 1), is_allowed_for=False)
    ours = ended(blocks, precision)
    last = ended(blocks, precision, [needed], is_allowed_for=False)
    print(f"{title:26} {needed:6} {100 * last.holds:9.1f} {100 * naive.holds:9.1f} {naive.rounds:7.1f} "
          f"{100 * ours.holds:9.1f} {ours.rounds:7.1f}", flush=True)
    return ours


def test_intervals_of_comparisons_that_end_early_hold_the_truth():
    print(f"\n{'noise':26} {'rounds':>6} {'at end':>9} {'any time':>9} {'rounds':>7} {'program':>9} {'rounds':>7}")
    found = []
    for title, (processes, blocks, tails) in NOISE.items():
        rng = np.random.default_rng(0)
        drawn = made(rng, COUNT, ROUNDS, BLOCKS, processes, blocks, tails)
        found += [line(title, needed, precision_for(needed, processes, blocks, BLOCKS), drawn) for needed in NEEDED]
    print(f"{'the least':26} {'':6} {'':9} {'':9} {'':7} {100 * min(one.holds for one in found):9.1f}")
    assert min(one.holds for one in found) >= LEAST


def tell(title: str, draw: Callable[[], Floats]) -> None:
    """One line of the other table, and what is demanded of it. `draw`: one configuration's blocks, equal ones'."""
    base, again, slow, one, other = (draw() for _ in range(5))
    found = told_apart(other - one, again - base, slow - base + math.log(1.1), PRECISION, MEASURED)
    print(f"{title:26} {found.asked:8.1f} {found.used:8.1f} {100 * (1 - found.same):16.1f} {100 * found.slower:13.1f}",
          flush=True)
    assert 1 - found.same >= 0.9 and found.slower >= 0.9


TOLD = f"{'noise':26} {'asked':>8} {'rounds':>8} {'A/A not told, %':>16} {'10 % found, %':>13}"


def test_ten_per_cent_are_found_and_equal_runs_are_not_within_the_time_that_is_asked_for():
    print(f"\n{TOLD}")
    for title, (processes, blocks, tails) in NOISE.items():
        rng = np.random.default_rng(0)
        tell(title, functools.partial(made, rng, 400, 200, BLOCKS, processes / math.sqrt(2), blocks / math.sqrt(2),
                                      tails))


def test_the_same_of_recorded_steps(request):
    files = request.config.getoption("--recorded")
    if not files:
        pytest.skip("no --recorded")
    series = recorded([Path(file) for file in files])
    rng = np.random.default_rng(0)
    drawn = stretches(series, rng) - stretches(series, rng)
    scatter = float(drawn.mean(axis=2).std())
    print(f"\n{sum(map(len, series))} blocks of {len(series)} runs; two stretches of {BLOCKS} of them differ by "
          f"{100 * scatter:.1f} % (standard deviation)")
    found = [line("recorded", needed, precision_for(needed, scatter, 0.0, 1), drawn) for needed in NEEDED]
    assert min(one.holds for one in found) >= LEAST
    print(TOLD)
    tell("recorded", lambda: stretches(series, rng, (400, MOST)))


def recorded(files: list[Path]) -> list[Floats]:
    """Of each run the logarithms of the medians of its blocks of three steps."""
    found = []
    for file in files:
        with contextlib.closing(RunData(file).load()) as run:
            steps = run.every_measured("step_ms")
        found.append(np.log(np.median(steps[: len(steps) // 3 * 3].reshape(-1, 3), axis=1)))
    return found


def stretches(series: list[Floats], rng: np.random.Generator, size: tuple[int, int] = (COUNT, ROUNDS)) -> Floats:
    """Neighbouring blocks [comparisons, rounds, blocks] from anywhere in one of the series."""
    starts = [np.lib.stride_tricks.sliding_window_view(one, BLOCKS) for one in series]
    chosen = rng.integers(0, len(starts), size)
    drawn = np.empty((*size, BLOCKS))
    for i, one in enumerate(starts):
        mine = chosen == i
        drawn[mine] = one[rng.integers(0, len(one), int(mine.sum()))]
    return drawn
