"""A comparison that ends as soon as its intervals are narrow holds the truth as often as it says."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.helpers.stopping import Course, ended, made, precision_for, told_apart
from tfx_engine.protocol.interleaving import LEAST_ROUNDS
from tfx_workbench.analysis.contrasts import effects_of_pairs
from tfx_workbench.analysis.hierarchy import NORMAL, half_width, looked, paired
from tfx_workbench.analysis.precision import scatter_of

COUNT, ROUNDS = 1500, 60


@pytest.mark.parametrize("rounds", [3, LEAST_ROUNDS, 9])
def test_the_many_at_once_are_those_of_the_program(rounds):
    blocks = made(np.random.default_rng(rounds), 5, 9, 4, 0.02, 0.03)
    course = Course(blocks)
    for one, mean, half, scatter in zip(blocks, *course.after(rounds, looked(NORMAL, rounds)), course.scatter(rounds),
                                        strict=True):
        tree = [[np.array([value]) for value in process] for process in one[:rounds]]
        pair = paired([[np.zeros(1)] * 4] * rounds, tree, resamples=0)
        assert (pair.mean, half_width(pair)) == pytest.approx((mean, half))
        (effect,) = effects_of_pairs([pair])
        assert math.log1p(effect.high / 100) == pytest.approx(mean + half)
        known = scatter_of([[np.zeros(1)] * 4] * rounds, tree)
        assert (known.between_blocks, known.between_processes) == pytest.approx(
            (scatter.between_blocks, scatter.between_processes))
        assert known.freedom == scatter.freedom


@pytest.mark.parametrize("needed", [8, 14, 25])
def test_intervals_hold_the_truth_in_95_of_100_comparisons_that_end_early(needed):
    blocks = made(np.random.default_rng(needed), COUNT, ROUNDS, 2, 0.05, 0.01)
    precision = precision_for(needed, 0.05, 0.01, 2)
    found = ended(blocks, precision)
    assert found.reached > 0.99 and found.rounds < 1.6 * needed
    assert found.holds >= 0.935, "95 %, less 2.7 standard deviations"
    naive = ended(blocks, precision, range(3, ROUNDS + 1), is_allowed_for=False)
    assert naive.holds < 0.935, "looked at from the third round on and not allowed for, it is less"


def test_what_nobody_looks_at_is_made_for_95():
    assert looked(NORMAL, LEAST_ROUNDS - 1) == NORMAL
    assert looked(NORMAL, LEAST_ROUNDS) == pytest.approx(2.1701, abs=1e-3), "97 %"


@pytest.mark.parametrize(("processes", "blocks"), [(0.05, 0.05), (0.02, 0.2), (0.2, 0.05)])
def test_ten_per_cent_are_found_and_equal_runs_are_not_within_the_time_that_is_asked_for(processes, blocks):
    """On a machine of so much noise; asked for are +-5 %, by what 10 rounds said of it."""
    rng = np.random.default_rng(0)
    most = 120 if processes < 0.1 else 500
    base, again, slow, one, other = (made(rng, 300, most, 2, processes / math.sqrt(2), blocks / math.sqrt(2) / 2)
                                     for _ in range(5))  # two blocks that scatter as the mean of four
    found = told_apart(other - one, again - base, slow - base + math.log(1.1), 5.0, 10)
    assert found.same <= 0.08 and found.slower >= 0.9
    assert found.used < found.asked < most
