"""The forest of effects: a row for each run, the noise behind it, and in words what cannot be told apart."""

from __future__ import annotations

import pytest

from tests.helpers.exhibits import check_exhibit, views
from tests.helpers.interleaved import made_up, write_interleaved
from tests.helpers.synthetic_run import write_five
from tfx_workbench.exhibits.effects import EXHIBIT
from tfx_workbench.exhibits.exhibit import Bars, Marker


@pytest.fixture
def turns(tmp_path):
    """The baseline, the second one, a slower run, one that is the same."""
    made = [("base", 1.0, "baseline"), ("again", 1.0, "control"), ("slower", 1.2, "member"), ("same", 1.0, "member")]
    return [write_interleaved(tmp_path / f"{name}.tfx", made_up(i, factor), role)
            for i, (name, factor, role) in enumerate(made)]


def layer(plot, key):
    return next(found for found in plot.layers if found.key == key)


def test_every_run_has_a_row_with_its_interval_and_the_noise_behind_it(turns):
    exhibit = EXHIBIT.make(views(turns), {})
    check_exhibit(exhibit)
    (plot,) = exhibit.plots  # nothing is known of the memory of these runs
    intervals, noise, words = (layer(plot, key) for key in ("intervals", "noise", "words"))
    assert isinstance(intervals, Bars)
    assert intervals.labels == ("same", "slower", "again")
    assert intervals.ends[1] < 0 < intervals.ends[0], "a slower run has less throughput"
    assert noise.ends[0] == noise.ends[1] == -noise.starts[1] > 0 and noise.ends[2] == 0
    assert noise.ends[0] == pytest.approx(max(abs(intervals.starts[2]), abs(intervals.ends[2])))
    assert [("not distinguishable" in str(text)) for text in words.texts] == [True, False, True]
    at = [found.x for found in plot.layers if isinstance(found, Marker)]
    assert all(low < x < high for low, x, high in zip(intervals.starts, at, intervals.ends, strict=True))
    assert "1 of 2" in str(exhibit.sentence)


def test_it_says_how_it_was_found(turns):
    notes = " ".join(map(str, EXHIBIT.make(views(turns), {}).notes))
    assert "interleaved: mean of 5 processes" in notes
    assert "2 runs hold all at once" in notes
    assert "equal runs differ by up to" in notes


def test_runs_one_after_the_other_are_compared_and_it_says_what_that_does_not_cover(tmp_path):
    exhibit = EXHIBIT.make(views(write_five(tmp_path, steps=30, layers=2, heads=2, context=16, width=16)), {})
    assert [plot.key for plot in exhibit.plots] == ["speed", "memory"]
    assert "drift" in " ".join(map(str, exhibit.notes))
    assert len(exhibit.tables[0].rows) == 4


def test_of_another_device_neither_speed_nor_memory_is_compared(tmp_path):
    shown = views(write_five(tmp_path, steps=30, layers=2, heads=2, context=16, width=16))
    shown[1].data.facts["threads"] = 64
    exhibit = EXHIBIT.make(shown, {})
    first, second = exhibit.tables[0].rows[:2]
    assert [str(cell) for cell in first[1:]] == ["–", "–", "–", "the two runs were measured on different devices"]
    assert str(second[1]) != "–" and "of 3 differs" in str(exhibit.sentence)


def test_a_run_that_broke_off_says_so(tmp_path, turns):
    cut = write_interleaved(tmp_path / "cut.tfx", made_up(9, rounds=2), status="failed", reason="Out of memory.")
    (*_, last) = EXHIBIT.make(views([*turns, cut]), {}).tables[0].rows
    assert "failed" in str(last[-1])


def test_one_run_alone_asks_for_a_second(turns):
    assert "second run" in str(EXHIBIT.make(views(turns[:1]), {}).empty)
