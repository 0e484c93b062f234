"""Arrays are read once while there is room for them."""

from __future__ import annotations

import numpy as np

from tfx_workbench.runs.held import Held


def make(most_bytes, most=10):
    read: list[tuple[int, ...]] = []

    def from_file(*which):
        read.append(which)
        return np.full(which[0], which[-1], np.uint8)  # so many bytes

    return Held(from_file, most, most_bytes), read


def test_what_is_held_is_read_once():
    held, read = make(100)
    assert held(40, 1) is held(40, 1)
    assert held(40, 2)[0] == 2 and held(40, 1)[0] == 1
    assert read == [(40, 1), (40, 2)]


def test_what_was_asked_for_longest_ago_makes_room():
    held, read = make(100)
    for which in ((40, 1), (40, 2), (40, 1), (40, 3), (40, 1), (40, 2)):
        held(*which)
    assert read == [(40, 1), (40, 2), (40, 3), (40, 2)]


def test_one_that_is_larger_than_all_room_is_held_alone():
    held, read = make(100)
    held(40, 1)
    assert len(held(500, 2)) == 500 and held(500, 2)[0] == 2
    held(40, 1)
    assert read == [(40, 1), (500, 2), (40, 1)]


def test_many_small_ones_make_room_too():
    held, read = make(1000, most=2)
    for which in ((1, 1), (1, 2), (1, 3), (1, 2), (1, 1)):
        held(*which)
    assert read == [(1, 1), (1, 2), (1, 3), (1, 1)]
