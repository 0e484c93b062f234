"""Ticks stand at round places, and what a plot shows holds still while its data grows."""

from __future__ import annotations

import numpy as np
import pytest

from tfx_workbench.exhibits.exhibit import Axis, Curve, HeatMap, Line, Plot, Stack
from tfx_workbench.exhibits.ranges import colour_limits, horizon, ranges
from tfx_workbench.exhibits.ticks import nice_step, ticks


def plot_of(*layers, x=None, y=None):
    return Plot("p", x or Axis(), y or Axis(), layers)


def curve(y, **more):
    y = np.asarray(y, dtype=float)
    return Curve("c", "run", np.arange(len(y), dtype=float), y, "run:0", **more)


def test_linear_ticks_are_round_and_have_the_decimals_they_need():
    assert ticks(Axis(), 0, 27, 6) == [(0, "0"), (5, "5"), (10, "10"), (15, "15"), (20, "20"), (25, "25")]
    assert [text for _, text in ticks(Axis(), 0, 1, 5)] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert [text for _, text in ticks(Axis(), -1, 1, 2)] == ["−1", "0", "1"]


def test_a_whole_axis_has_no_ticks_between_whole_numbers():
    assert [text for _, text in ticks(Axis(whole=True), 0, 3, 12)] == ["0", "1", "2", "3"]


def test_log_ticks_are_decades_and_what_is_between_where_there_are_few():
    assert [text for _, text in ticks(Axis(log=True), -2, 1, 4)] == ["0.01", "0.1", "1", "10"]
    assert [text for _, text in ticks(Axis(log=True), 0.0, 1.0, 6)] == ["1", "2", "5", "10"]
    assert len(ticks(Axis(log=True), 0.0, 0.04, 4)) >= 2
    assert [text for _, text in ticks(Axis(log=True), -8, -6, 4)] == ["10⁻⁸", "10⁻⁷", "10⁻⁶"]


def test_named_ticks_are_thinned_to_what_fits():
    axis = Axis(ticks=tuple((float(i), str(i)) for i in range(48)))
    assert len(ticks(axis, -0.5, 47.5, 6)) == 6


@pytest.mark.parametrize(("low", "high"), [(0, 0), (1, 0), (float("nan"), 1), (0, float("inf"))])
def test_a_range_that_is_none_has_no_ticks(low, high):
    assert ticks(Axis(), low, high, 5) == []


def test_a_step_is_never_too_small_for_the_number_of_ticks():
    for span in (1e-9, 0.3, 7, 1e12):
        for count in (1, 3, 10):
            assert span / nice_step(span, count) <= count + 1e-6


def test_the_shown_range_stays_while_data_fits_it():
    first = ranges(plot_of(curve([1, 2, 3])))
    assert ranges(plot_of(curve([1, 2, 2.9])), first)[1] == first[1]
    assert ranges(plot_of(curve([1, 2, 30])), first)[1].high >= 30
    # ... and no longer than it fills it.
    assert ranges(plot_of(curve([1, 1.1])), first)[1] != first[1]


def test_a_fixed_end_is_kept_to_the_number():
    x, y = ranges(plot_of(curve([5, 7]), x=Axis(low=0, high=100), y=Axis(low=0)))
    assert (x.low, x.high, y.low) == (0, 100, 0) and y.high >= 7


@pytest.mark.parametrize("layers", [
    (), (curve([]),), (curve([np.nan, np.nan]),), (curve([3.0]),), (curve([2, 2, 2]),),
    (Stack("s", np.empty(0), np.empty((0, 2)), ()),),
])
def test_there_is_always_a_range_with_a_width(layers):
    for axis in (Axis(), Axis(log=True), Axis(low=0.0)):
        x, y = ranges(plot_of(*layers, y=axis))
        assert np.isfinite([x.low, x.high, y.low, y.high]).all() and x.span > 0 and y.span > 0


def test_bands_lines_and_stacks_are_inside_and_what_sets_no_range_is_not_asked():
    y = ranges(plot_of(curve([1, 2], low=np.array([0, 1.0]), high=np.array([2, 9.0])), Line("l", 12.0)))[1]
    assert y.low <= 0 and y.high >= 12
    stack = Stack("s", np.array([0.0, 1]), np.array([[1.0, 2], [3, 4]]), ())
    assert ranges(plot_of(stack))[1].high >= 7
    assert ranges(plot_of(curve([1, 2]), curve([50.0], sets_range=False)))[1].high < 10


def test_log_ranges_leave_out_what_has_no_logarithm():
    y = ranges(plot_of(curve([0.0, -1.0, 0.01, 10.0]), y=Axis(log=True)))[1]
    assert -2.5 < y.low <= -2 and 1 <= y.high < 1.5


def test_the_horizon_is_round_moves_seldom_and_ends_at_the_plan():
    assert horizon(0, 33) == 10 and horizon(7, 33) == 8 and horizon(33, 33) == 33
    places = {horizon(n, 100_000) for n in range(1, 5000)}
    assert len(places) < 50
    assert all(horizon(n, 100_000) >= n for n in range(1, 5000))


def test_colour_limits_are_of_what_is_known_and_even_about_zero_where_signs_count():
    def heat(values, **more):
        return HeatMap("h", np.asarray(values, dtype=float), 0, 1, ("a",), "", **more)

    assert colour_limits(heat([[1, np.nan, 100]], log=True)) == (0, 2)
    assert colour_limits(heat([[-1, 3]], colour_map="diverging")) == (-3, 3)
    assert colour_limits(heat([[np.nan]])) == (0, 1)
    low, high = colour_limits(heat([[4, 4]]))
    assert low < 4 < high
