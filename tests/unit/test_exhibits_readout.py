"""Hovering says what was measured there, with its unit, and nothing where nothing was."""

from __future__ import annotations

import numpy as np

from tfx_workbench.exhibits.exhibit import Area, Axis, Curve, HeatMap, Plot, Stack
from tfx_workbench.exhibits.readout import nearest, neighbour, read

X = Axis("step")


def curve(label, x, y, **more):
    return Curve(label, label, np.asarray(x, dtype=float), np.asarray(y, dtype=float), "run:1", **more)


def said(plot, x, y=0.0):
    readout = read(plot, x, y)
    return None if readout is None else [(str(r.label), r.value) for r in readout.readings]


def test_every_run_says_its_value_at_the_nearest_step():
    plot = Plot("p", X, Axis("", "nats"), (curve("a", [1, 2, 3], [5, 6, 7]), curve("b", [1, 2, 3], [1, 2, 3])))
    readout = read(plot, 2.2, 0)
    assert readout.x == 2 and str(readout.heading) == "step 2"
    assert said(plot, 2.2) == [("a", "6.000 nats"), ("b", "2.000 nats")]


def test_a_run_that_has_ended_says_nothing_further_on():
    plot = Plot("p", X, Axis(), (curve("short", [1, 2], [5, 6]), curve("long", range(1, 100), range(1, 100))))
    assert said(plot, 60) == [("long", "60.00")]


def test_a_band_says_its_bounds():
    plot = Plot("p", X, Axis(), (curve("a", [1, 2], [5, 6], low=np.array([4, 5.0]), high=np.array([6, 7.0])),))
    assert said(plot, 1) == [("a", "5.000  (4.00 … 6.00)")]


def test_points_alone_are_read_only_where_they_are():
    plot = Plot("p", X, Axis(), (curve("a", range(10), range(10)), curve("dots", [4], [1], line=False)))
    assert [label for label, _ in said(plot, 4)] == ["a", "dots"]
    assert [label for label, _ in said(plot, 5)] == ["a"]


def test_a_stack_says_its_total_first_and_its_topmost_band_next():
    stack = Stack("s", np.array([0.0, 10]), np.array([[1.0, 2, 0], [3, 4, 0]]), tuple(Area(n, n) for n in "abc"))
    plot = Plot("p", X, Axis("", "MiB"), (stack,))
    assert said(plot, 6) == [("total", "7.000 MiB"), ("b", "4.000 MiB"), ("a", "3.000 MiB")]
    assert said(plot, 4)[0] == ("total", "3.000 MiB")


def test_a_heat_map_says_layer_and_value_under_the_mouse():
    heat = HeatMap("h", np.array([[1.0, 2], [3, 4]]), 0, 2, ("embedding", "block 1"), "norm")
    plot = Plot("p", X, Axis(), (heat,))
    assert said(plot, 1.5, 1.2) == [("block 1", "4.000")]
    assert said(plot, 0.1, 0.0) == [("embedding", "1.000")]
    assert read(plot, 1, 7) is None and read(plot, -1, 0) is None


def test_nothing_is_said_of_nothing():
    assert read(Plot("p", X, Axis(), ()), 1, 1) is None
    assert read(Plot("p", X, Axis(), (curve("a", [], []),)), 1, 1) is None
    assert read(Plot("p", X, Axis(), (curve("a", [1], [np.nan]),)), 1, 1) is None


def test_walking_visits_every_place_once():
    plot = Plot("p", X, Axis(), (curve("a", [1, 3], [0, 0]), curve("b", [2, 3], [0, 0])))
    places, x = [], -np.inf
    while (x := neighbour(plot, x, 1)) is not None:
        places.append(x)
    assert places == [1, 2, 3]
    assert neighbour(plot, 1, -1) is None and neighbour(plot, 3, -1) == 2


def test_nearest_finds_the_nearest_of_any_number_of_places():
    assert nearest(np.array([4.0]), 100) == 0
    assert [nearest(np.array([0.0, 10, 20]), x) for x in (-5, 4, 6, 14, 99)] == [0, 0, 1, 1, 2]
