"""Effects: signed, with intervals, and silent where nothing is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tfx_workbench.analysis.compare import noise_of
from tfx_workbench.analysis.contrasts import effect, effects_of_series
from tfx_workbench.analysis.statistics import Effect, exact_effect


def times(median: float, count: int = 60, seed: int = 0):
    return median * np.exp(0.02 * np.random.default_rng(seed).standard_normal(count))


def test_a_real_difference_is_signed_and_distinguishable():
    found = effect(times(10), times(12, seed=1))
    assert found.percent == pytest.approx(20, abs=2)
    assert 0 < found.low <= found.percent <= found.high
    assert found.distinguishable is True


def test_less_is_negative():
    found = effect(times(10), times(8, seed=1))
    assert found.high < 0
    assert found.distinguishable is True


def test_equal_runs_are_mostly_not_distinguishable():
    wrong = sum(bool(effect(times(10, seed=2 * i), times(10, seed=2 * i + 1)).distinguishable) for i in range(60))
    assert wrong <= 10  # 3 are expected


@pytest.mark.parametrize("pair", [([], [1.0, 2.0]), ([1.0, 2.0], []), ([0.0, 0.0], [1.0, 2.0])])
def test_without_a_baseline_or_a_value_nothing_is_known(pair):
    found = effect(*pair)
    assert math.isnan(found.percent)
    assert found.distinguishable is None


def test_one_step_each_has_a_difference_without_interval():
    found = effect([10.0], [11.0])
    assert found.percent == pytest.approx(10)
    assert found.as_dict()["low"] is None
    assert found.distinguishable is None


def test_a_handful_of_steps_gets_the_widest_ratio_where_that_holds_the_truth_often_enough():
    found = effect([10.0, 12.0, 10.5, 11.5], [11.0, 13.0, 12.0, 12.5])
    assert found.low == pytest.approx((11 / 12 - 1) * 100)
    assert found.high == pytest.approx((13 / 10 - 1) * 100)
    assert found.distinguishable is False
    few = effect([10.0, 10.5], [11.0, 13.0, 12.0])
    assert few.percent == pytest.approx((12 / 10.25 - 1) * 100)
    assert few.distinguishable is None, "one in five such pairs of equal runs lies apart"
    several = effects_of_series([10.0, 12.0, 10.5, 11.5], [[11.0, 13.0, 12.0, 12.5]] * 2)
    assert [one.distinguishable for one in several] == [None, None], "each of two may miss half as often"


def test_a_handful_of_steps_is_told_apart_no_more_often_than_it_says():
    rng = np.random.default_rng(0)
    for sizes in ((4, 4), (3, 60), (2, 12), (5, 6)):
        pairs = [[np.exp(0.02 * rng.standard_normal(size)) for size in sizes] for _ in range(200)]
        assert sum(effect(*pair).distinguishable is True for pair in pairs) <= 15, "10 are allowed"


@pytest.mark.parametrize(
    ("before", "after", "percent", "distinguishable"),
    [(100, 150, 50.0, True), (100, 100, 0.0, False), (0, 0, 0.0, False), (100, 0, -100.0, True)],
)
def test_counts_have_no_scatter(before, after, percent, distinguishable):
    found = exact_effect(before, after)
    assert (found.percent, found.low, found.high, found.distinguishable) == (percent, percent, percent, distinguishable)


def test_from_nothing_to_something_has_no_percentage():
    found = exact_effect(0, 5)
    assert found.as_dict() == {
        "percent": None, "low": None, "high": None, "distinguishable": True, "corrected": False, "family": 1,
        "noise_band": None, "method": "counted, without scatter",
    }


def test_a_count_that_is_missing_has_no_effect():
    assert exact_effect(None, 5).distinguishable is None


@pytest.mark.parametrize("factor", [1.095, 1.105])
def test_time_and_speed_of_the_same_steps_are_told_apart_alike(factor):
    """10 % more time is 9.1 % less speed: the band is as far in both directions."""
    time = Effect(100 * (factor - 1), 1.0, 20.0, True)
    speed = Effect(100 * (1 / factor - 1), -17.0, -1.0, True)
    assert time.within(10.0).distinguishable is speed.within(10.0).distinguishable is (factor > 1.1)
    assert Effect(-100.0, -100.0, -100.0, True).within(10.0).distinguishable is True


def test_the_noise_of_two_equal_runs_is_the_same_of_time_and_speed():
    time, speed = Effect(4.0, -2.0, 10.0, False), Effect(100 * (1 / 1.04 - 1), 100 * (1 / 1.1 - 1), 2.04, False)
    assert noise_of(time) == pytest.approx(10.0) == noise_of(speed)


def test_every_series_has_draws_of_its_own():
    """With draws in common six that scatter independently would pass for one, and need no correction."""
    steady, other = np.full(60, 10.0), times(11, seed=3)
    alone, one = effect(steady, other), effects_of_series(steady, [other, *(other * (1 + i) for i in range(5))])[0]
    assert one.corrected and one.family == 6
    assert one.high - one.low > 1.2 * (alone.high - alone.low), "2.6 standard errors, not 2"
