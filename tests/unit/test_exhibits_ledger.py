"""The ledger of predictions."""

from __future__ import annotations

import pytest

from tests.helpers.exhibits import views
from tests.helpers.synthetic_run import write_run
from tfx_workbench.exhibits.exhibit import Bars
from tfx_workbench.exhibits.kind import exhibit_type


def test_the_error_of_each_run_is_a_bar_and_that_of_one_a_table(tmp_path):
    paths = [write_run(tmp_path / f"{name}.tfx", name=name, steps=30, seed=seed)
             for seed, name in enumerate(["one", "two"])]
    exhibit = exhibit_type("ledger").make(views(paths), {})
    (bars,) = [layer for layer in exhibit.plots[0].layers if isinstance(layer, Bars)]
    assert bars.ends == pytest.approx([4.0, 4.0], abs=0.01) and bars.texts == ("+4.0 %", "+4.0 %")
    assert "median error 4.0 % over 2 runs" in str(exhibit.sentence)
    first = exhibit.tables[0].rows[0]
    assert str(first[0]) == "peak memory" and first[3] == "+4.0 %"
    assert str(exhibit.tables[0].rows[-1][0]) == "step"
