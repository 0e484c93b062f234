"""What measuring costs, divided into what it is spent on."""

from __future__ import annotations

import pytest

from tests.helpers.exhibits import check_exhibit, views
from tests.helpers.synthetic_run import write_run
from tfx_engine.measure import overhead as measured
from tfx_workbench.exhibits.overhead import ENOUGH, OFTEN, RARELY, overhead


def test_overhead_is_divided_into_what_it_is_spent_on(tmp_path):
    exhibit = overhead(views([write_run(tmp_path / "a.tfx", steps=5)]), {})
    check_exhibit(exhibit)
    bars = exhibit.plots[0].layers[0]
    assert [str(label) for label in bars.labels][::-1] == [
        "within steps", "attention maps", "held-out loss", "memory splits", "update ratios"]
    assert bars.ends.sum() == pytest.approx(0.3 * 0.667 + 0.42)
    assert "measuring costs 0.62 %" in str(exhibit.sentence) and "0.31 %" in str(exhibit.notes[0])


def test_how_often_a_step_goes_without_probes_is_said_as_it_is(tmp_path):
    exhibit = overhead(views([write_run(tmp_path / "a.tfx", steps=5)]), {})
    assert "every 3 steps, and of every 16 once 64 were compared" in str(exhibit.definitions[0].text)
    assert (OFTEN, RARELY, ENOUGH) == (measured.OFTEN, measured.RARELY, measured.ENOUGH)
    without = [step for step in range(1, 97) if measured.is_turn_without(step, 0)]
    later = [step for step in range(1, 97) if measured.is_turn_without(step, ENOUGH)]
    assert (96 / len(without), 96 / len(later)) == (OFTEN, RARELY)
