"""How often the intervals of comparisons that end early hold the truth, and how much longer that takes.

Made-up comparisons of two equal configurations, thousands at a time: their processes and blocks scatter, normally or
with heavy tails, so that a comparison that is not looked at would need from 4 to 45 rounds for the wanted precision.
Three ways to end: after any round from the third on, with 95 % intervals that allow for nothing; as the program does;
and never before the end. With `--recorded FILE...` (run files of one interleaved comparison, the baseline and its
second copy among them) blocks are drawn from what was measured there instead: a process at a time, whole.
"""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.stopping import Ended, ended, made, precision_for
from tfx_workbench.analysis.rounds import blocks_of, common, role
from tfx_workbench.runs.interval import Floats
from tfx_workbench.runs.rundata import RunData

COUNT, ROUNDS, BLOCKS = 4000, 100, 4
NEEDED = (4, 6, 8, 10, 14, 20, 30, 45)
NOISE = {
    "processes scatter": (0.05, 0.01, None), "both scatter": (0.02, 0.05, None), "blocks scatter": (0.0, 0.05, None),
    "processes, heavy tails": (0.05, 0.01, 4), "both, heavy tails": (0.02, 0.05, 3),
}  # fmt: skip
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


def test_the_same_of_recorded_steps(request):
    files = request.config.getoption("--recorded")
    if not files:
        pytest.skip("no --recorded")
    processes = recorded([Path(file) for file in files])
    rng = np.random.default_rng(0)
    drawn = processes[rng.integers(0, len(processes), (COUNT, ROUNDS))]
    drawn = drawn * rng.choice([-1.0, 1.0], (COUNT, ROUNDS, 1))  # of two equal runs either may be the first
    scatter = math.sqrt(float((processes.mean(axis=1) ** 2).mean()))
    print(f"\n{len(processes)} processes of {processes.shape[1]} blocks were recorded; they scatter by "
          f"{100 * scatter:.1f} %")
    found = [line("recorded", needed, precision_for(needed, scatter, 0.0, 1), drawn) for needed in NEEDED]
    assert min(one.holds for one in found) >= LEAST


def recorded(files: list[Path]) -> Floats:
    """The differences of the baseline's second copy from it, block by block [processes, blocks]; whole rounds."""
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(contextlib.closing(RunData(file))).load() for file in files]
        by_role = {role(run): blocks_of(run) for run in runs}
    base, again = common(by_role["baseline"], by_role["control"], "step_ms")
    rows = [np.array([np.median(b) - np.median(a) for a, b in zip(*pair, strict=True)])
            for pair in zip(base, again, strict=True)]
    most = max(map(len, rows))
    return np.stack([row for row in rows if len(row) == most])
