"""The interval of a median: it covers what it should, and says nothing where nothing is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from tfx_workbench.runs import interval as interval_module
from tfx_workbench.runs.interval import DIRECT, block_length, median_interval, resampled_medians


def autoregressive(rng, count: int, correlation: float):
    """A series about 0 whose neighbours are correlated."""
    noise = rng.standard_normal(count + 100)
    for i in range(1, len(noise)):
        noise[i] += correlation * noise[i - 1]
    return noise[100:]


@pytest.mark.parametrize(("count", "correlation"), [(12, 0.0), (60, 0.0), (60, 0.5), (300, 0.8), (3 * DIRECT, 0.5)])
def test_about_95_in_100_intervals_hold_the_true_median(count, correlation):
    rng = np.random.default_rng(7)
    trials = 100
    series = (100 * np.exp(0.05 * autoregressive(rng, count, correlation)) for _ in range(trials))
    found = (median_interval(values, seed=i) for i, values in enumerate(series))
    hits = sum(interval.low <= 100 <= interval.high for interval in found)
    assert hits >= 84  # a sound interval has less than that once in 10,000 suites


@pytest.mark.parametrize("count", [6, 7, 60, 61, DIRECT - 1, DIRECT])
@pytest.mark.parametrize("decimals", [0, 9])  # with many equal values, and with hardly any
def test_the_medians_of_the_drawn_are_numpys_to_the_bit(count, decimals, monkeypatch):
    rng = np.random.default_rng(count)
    series = np.round(100 + 5 * autoregressive(rng, count, 0.5), decimals)
    fast = resampled_medians(series, np.random.default_rng(1))
    monkeypatch.setattr(
        interval_module, "_drawn_medians", lambda values, indices: np.median(values[indices % count], axis=1)
    )
    assert np.array_equal(fast, resampled_medians(series, np.random.default_rng(1)))


def test_an_independent_series_gets_about_the_interval_that_scipy_gives():
    values = np.random.default_rng(3).gamma(9.0, size=200)
    ours = median_interval(values)
    theirs = stats.bootstrap((values,), np.median, method="percentile").confidence_interval
    width = theirs.high - theirs.low
    assert ours.low == pytest.approx(theirs.low, abs=0.3 * width)
    assert ours.high == pytest.approx(theirs.high, abs=0.3 * width)


def test_neighbours_that_are_alike_make_the_interval_wider():
    values = np.random.default_rng(1).standard_normal(400) + 100
    together = np.sort(values.reshape(10, 40), axis=0).ravel()  # the same values, slow spells in a row
    apart, alike = median_interval(values), median_interval(together)
    assert alike.high - alike.low > 1.3 * (apart.high - apart.low)
    assert block_length(together) > block_length(values)


def test_the_same_values_give_the_same_interval_to_the_bit():
    values = np.random.default_rng(2).standard_normal(50)
    assert median_interval(values, seed=4) == median_interval(values, seed=4)


def test_a_gap_in_the_readings_is_left_out():
    assert median_interval([1.0, math.nan, 3.0, math.inf]) == median_interval([1.0, 3.0])


def test_without_values_nothing_is_known():
    interval = median_interval([])
    assert interval.as_dict() == {"median": None, "low": None, "high": None, "steps": 0}


def test_one_value_has_no_interval():
    interval = median_interval([5.0])
    assert interval.median == 5.0
    assert interval.as_dict()["low"] is None


def test_a_few_values_get_their_whole_range():
    interval = median_interval([3.0, 1.0, 2.0])
    assert (interval.median, interval.low, interval.high) == (2.0, 1.0, 3.0)


@pytest.mark.parametrize("count", [6, 200, 2000])
def test_values_without_scatter_have_an_interval_without_width(count):
    interval = median_interval(np.full(count, 4.0))
    assert (interval.median, interval.low, interval.high) == (4.0, 4.0, 4.0)


def test_the_bounds_of_a_time_are_positive_and_those_of_its_speed_turned_round():
    times = [694.0, 12.0, 15.0, 700.0, 11.0, 690.0, 702.0]  # a machine that is busy with something else
    time, speed = median_interval(times), median_interval([1 / t for t in times])
    assert 0 < time.low <= time.median <= time.high
    assert speed.low == pytest.approx(1 / time.high, rel=1e-9) and speed.high == pytest.approx(1 / time.low, rel=1e-9)
