"""What measuring costs, divided into what it is spent on."""

from __future__ import annotations

import pytest

from tests.helpers.exhibits import check_exhibit, views
from tests.helpers.synthetic_run import write_run
from tfx_workbench.exhibits.overhead import overhead


def test_overhead_is_divided_into_what_it_is_spent_on(tmp_path):
    exhibit = overhead(views([write_run(tmp_path / "a.tfx", steps=5)]), {})
    check_exhibit(exhibit)
    bars = exhibit.plots[0].layers[0]
    assert [str(label) for label in bars.labels][::-1] == [
        "within steps", "attention maps", "held-out loss", "memory splits", "update ratios"]
    assert bars.ends.sum() == pytest.approx(0.3 * 0.667 + 0.42)
    assert "measuring costs 0.62 %" in str(exhibit.sentence) and "0.31 %" in str(exhibit.notes[0])
