"""Columns in bounded memory: rings, series with every spike, arrays by layer."""

from __future__ import annotations

import numpy as np
import pytest

from tfx_workbench.runs.layercolumns import grouped
from tfx_workbench.runs.ring import Ring
from tfx_workbench.runs.series import halved, joined, single_steps, thinned


def rows_of(values):
    values = np.asarray(values, float)
    return single_steps(np.arange(1.0, len(values) + 1), values, np.ones(len(values), bool))


@pytest.mark.parametrize("batch", [1, 7, 100, 1000])
def test_a_ring_holds_the_newest_rows_in_order_and_no_more_memory(batch):
    ring, everything = Ring(100), np.arange(5000.0)
    for start in range(0, len(everything), batch):
        ring.extend(everything[start : start + batch])
        assert len(ring._rows) <= 256
    assert np.array_equal(ring.values, everything[-100:])
    assert ring.dropped == 4900


def test_what_a_ring_shows_cannot_be_written_to():
    ring = Ring(10)
    ring.extend(np.ones(3))
    with pytest.raises(ValueError, match="read-only"):
        ring.values[0] = 2


def test_a_ring_takes_every_second_of_its_own_rows_instead_in_the_same_memory():
    ring = Ring(1000)
    ring.extend(np.arange(1000.0))
    before = ring._rows
    ring.replace(ring.values[1::2])
    assert np.array_equal(ring.values, np.arange(1.0, 1000.0, 2.0))
    ring.extend(np.array([7.0]))
    assert ring.values[-1] == 7.0 and len(ring) == 501 and ring._rows is before


def test_few_steps_are_shown_one_by_one():
    series = thinned(rows_of([3.0, 1.0, 2.0]), points=10)
    assert series.steps_per_point == 1
    assert np.array_equal(series.mean, [3.0, 1.0, 2.0])
    assert np.array_equal(series.low, series.high)


@pytest.mark.parametrize("place", [0, 499, 998, 999])
def test_a_spike_survives_wherever_it_is(place):
    values = np.ones(1000)
    values[place] = 77.0
    series = thinned(rows_of(values), points=50)
    assert len(series) <= 50
    assert series.high.max() == 77.0
    assert series.low.min() == 1.0


def test_the_mean_of_a_point_is_the_mean_of_its_steps():
    values = np.random.default_rng(0).random(1024)
    series = thinned(rows_of(values), points=64)
    assert np.allclose(series.mean, values.reshape(64, 16).mean(axis=1))
    assert np.array_equal(series.x, np.arange(16.0, 1025.0, 16.0))


def test_points_stay_where_they_are_while_a_run_grows():
    values = np.random.default_rng(0).random(130)
    before, after = thinned(rows_of(values[:120]), points=64), thinned(rows_of(values), points=64)
    assert before.steps_per_point == 2
    assert after.steps_per_point == 4
    longer = thinned(rows_of(values[:126]), points=64)
    assert np.array_equal(longer.mean[:60], before.mean[:60])


def test_missing_readings_neither_count_nor_hide_their_neighbours():
    values = [1.0, np.nan, np.nan, np.nan]
    series = thinned(rows_of(values), points=2)
    assert np.array_equal(series.mean, [1.0, np.nan], equal_nan=True)
    assert series.high[0] == 1.0


def test_a_point_counts_only_where_all_its_steps_do():
    rows = single_steps(np.arange(4.0), np.ones(4), np.array([False, True, True, True]))
    assert thinned(rows, points=2).phase_mask.tolist() == [False, True]


def test_without_rows_there_are_no_points():
    assert len(thinned(rows_of([]), points=10)) == 0


def test_halving_keeps_sums_and_extremes():
    rows = joined([rows_of([5.0, 1.0, 9.0]), rows_of([2.0, 2.0])])
    half = halved(rows)
    assert half.total.sum() == rows.total.sum()
    assert half.high.max() == 9.0
    assert len(half.x) == 3


def test_layers_of_neighbouring_steps_keep_their_largest_value():
    steps = np.arange(1, 8)
    values = np.zeros((7, 2), np.float32)
    values[4, 1] = 3.0
    grouped_steps, largest = grouped(steps, values, 4)
    assert grouped_steps.tolist() == [4, 7]
    assert largest.tolist() == [[0.0, 0.0], [0.0, 3.0]]
