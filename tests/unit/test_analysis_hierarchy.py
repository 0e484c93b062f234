"""The hierarchical bootstrap: as scipy's where they overlap, and intervals that hold what they say."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tests.helpers.interleaved import made_up
from tfx_workbench.analysis.hierarchy import NORMAL, critical, draw_processes, half_width, paired, student


def tree(rounds):
    return [[np.log(block) for block in blocks] for blocks in rounds]


def single(values):
    """One process whose blocks have one step each: a single level."""
    return [[np.array([value]) for value in values]]


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 30, 200])
@pytest.mark.parametrize("z", [NORMAL, 2.6])
def test_the_quantiles_of_students_t_are_those_of_scipy(freedom, z):
    assert student(z, freedom) == pytest.approx(stats.t.isf(math.erfc(z / math.sqrt(2)) / 2, freedom), rel=1e-4)


def test_on_one_level_the_draws_are_those_of_scipys_bootstrap():
    values = np.random.default_rng(3).gamma(2.0, size=40)
    mine = paired(single(np.zeros(40)), single(values), resamples=20_000).draws
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", random_state=1)
    assert mine.std() == pytest.approx(theirs.standard_error, rel=0.03)
    low, high = np.quantile(mine, [0.025, 0.975])
    width = theirs.confidence_interval.high - theirs.confidence_interval.low
    assert low == pytest.approx(theirs.confidence_interval.low, abs=0.03 * width)
    assert high == pytest.approx(theirs.confidence_interval.high, abs=0.03 * width)


def test_on_one_level_the_interval_is_that_of_students_t():
    values = np.random.default_rng(4).normal(size=12)
    found = paired(single(np.zeros(12)), single(values))
    low, high = stats.t.interval(0.95, 11, loc=values.mean(), scale=stats.sem(values))
    assert found.processes == 1, "nobody looks whether one process is enough"
    assert (found.mean - half_width(found), found.mean + half_width(found)) == pytest.approx((low, high), rel=1e-4)


def test_draws_scatter_by_processes_and_by_blocks():
    rng = np.random.default_rng(0)
    alike = [[np.full(4000, value) for value in np.linspace(-1, 1, 9)] for _ in range(5)]
    apart = [[np.full(4000, shift) for _ in range(9)] for shift in (-2.0, -1.0, 0.0, 1.0, 2.0)]
    blocks_alone = np.std(np.linspace(-1, 1, 9)) / math.sqrt(45)
    processes_alone = np.std([-2, -1, 0, 1, 2]) / math.sqrt(5)
    assert draw_processes(alike, rng).std() == pytest.approx(blocks_alone, rel=0.06)
    assert draw_processes(apart, rng).std() == pytest.approx(processes_alone, rel=0.06)


@pytest.mark.parametrize("rounds", [1, 3, 6])
def test_the_interval_holds_the_truth_in_about_95_of_100_comparisons(rounds):
    truth, held = math.log(1.1), 0
    scatter = 0.0 if rounds == 1 else 0.015  # a single process cannot know what another start would change
    for seed in range(200):
        one, two = (tree(made_up(2 * seed + i, factor, rounds, between_processes=scatter))
                    for i, factor in enumerate((1.0, 1.1)))
        found = paired(one, two, resamples=0)
        held += abs(found.mean - truth) <= half_width(found)
    assert held >= 180  # 190 - 3 standard deviations


def test_intervals_of_several_comparisons_hold_all_at_once():
    held = alone = 0
    for seed in range(100):
        base, *others = (tree(made_up(5 * seed + i, blocks=4)) for i in range(5))
        found = [paired(base, other, resamples=100) for other in others]
        z = critical([f.draws for f in found])
        held += all(abs(f.mean) <= half_width(f, z) for f in found)
        alone += all(abs(f.mean) <= half_width(f) for f in found)
    assert 88 <= held <= 100
    assert alone < held, "without the correction one of the four is often wrong"


def test_the_correction_knows_that_comparisons_with_one_baseline_belong_together():
    base, one, two = (tree(made_up(i)) for i in range(3))
    draws = [paired(base, other).draws for other in (one, two)]
    assert np.corrcoef(*draws)[0, 1] > 0.3
    assert critical(draws) > critical(draws[:1]) == NORMAL
    assert critical([draws[0], draws[0]]) < critical(draws) + 1e-9, "the same comparison twice is no second chance"


def test_a_drift_that_both_have_is_not_in_the_difference():
    one, two = (tree(made_up(i, factor, between_processes=0, between_blocks=0, drift=2.0))
                for i, factor in enumerate((1.0, 1.05)))
    found = paired(one, two)
    assert found.mean == pytest.approx(math.log(1.05), abs=0.01)
    assert half_width(found) < 0.01


def test_processes_that_agree_by_chance_are_no_better_known_than_their_blocks():
    blocks = [-0.3, 0.3, -0.2, 0.2]
    agreeing = paired(tree([[[1.0]] * 4] * 3), [[np.array([b]) for b in blocks]] * 3)
    assert half_width(agreeing) == pytest.approx(stats.t.isf(0.025, 9) * math.sqrt(np.var(blocks) * 4 / 3 / 12))


def test_one_block_tells_no_interval():
    found = paired([[np.array([1.0, 2.0])]], [[np.array([2.0, 3.0])]])
    assert (found.mean, found.freedom) == (1.0, 0)
    assert math.isnan(half_width(found))


@pytest.mark.parametrize("pair", [([], []), ([[np.ones(2)]], [[np.ones(2)], [np.ones(2)]]), ([[]], [[]]),
                                  ([[np.ones(0)]], [[np.ones(2)]])])
def test_trees_that_do_not_belong_together_are_refused(pair):
    with pytest.raises(ValueError, match=r"processes|steps"):
        paired(*pair)
