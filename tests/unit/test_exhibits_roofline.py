"""The roofline: where the points stand, and what a component is bound by."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.helpers.ceilings import made_up, this_cpu
from tests.helpers.exhibits import check_exhibit, views
from tests.helpers.synthetic_run import make_config, write_run
from tfx_engine.runfile.reader import RunReader
from tfx_workbench.exhibits.exhibit import Curve, Line, Marker
from tfx_workbench.exhibits.roofline import EXHIBIT, _Point, _Roof, roofline

ROOF = _Roof("float32", per_s=4e11, bytes_per_s=2e10, start_us=10.0)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("store") / "run.tfx", make_config(steps=20))


def test_the_roof_is_the_slope_of_the_memory_and_then_the_peak():
    assert ROOF.at(1.0) == 2e10
    assert ROOF.at(20.0) == ROOF.at(1000.0) == 4e11


@pytest.mark.parametrize(("point", "bound"), [
    (_Point("feedforward", ms=10.0, operations=3e9, bytes=2e7, calls=10), "compute"),
    (_Point("norm", ms=10.0, operations=2e7, bytes=1.5e8, calls=10), "memory"),
    (_Point("position", ms=10.0, operations=2e5, bytes=2e6, calls=900), "launch"),
    (_Point("other", ms=10.0, operations=2e5, bytes=2e6, calls=10), "none"),
])
def test_a_component_is_bound_by_what_explains_more_of_its_time_than_all_else(point, bound):
    assert ROOF.bound(point) == bound


def test_what_binds_is_said_with_the_share_that_it_explains(path):
    share = ROOF.explained(_Point("norm", ms=10.0, operations=2e7, bytes=6e7, calls=10))
    assert share == ("memory", pytest.approx(0.3)), "bound, and yet most of its time is lost on something else"
    exhibit = EXHIBIT.make(views([path]), {})
    assert "of its time explained" in str(exhibit.sentence)
    assert not any("most of its time" in str(d.text) for d in exhibit.definitions)
    (table,) = exhibit.tables
    assert str(table.columns[-1].title) == "explained" and all(row[-1].endswith("%") for row in table.rows)


def test_a_point_stands_at_its_operations_per_byte_and_per_second(path):
    (view,) = views([path])
    rows = [row for row in view.data.profile_parts if row.component == "attention"]
    operations = sum(row.flops + row.elements for row in rows)
    exhibit = EXHIBIT.make([view], {})
    check_exhibit(exhibit)
    (plot,) = exhibit.plots
    (marker,) = (layer for layer in plot.layers if isinstance(layer, Marker) and layer.key == "attention")
    assert 10**marker.x == pytest.approx(operations / sum(row.bytes for row in rows))
    assert plot.y.unit == "GFLOP/s"
    assert marker.y * 1e9 == pytest.approx(1000 * operations / sum(row.ms for row in rows))
    (roof,) = (layer for layer in plot.layers if isinstance(layer, Curve) and layer.key == "roof")
    assert roof.y[-1] == pytest.approx(400)
    (published,) = (layer for layer in plot.layers if isinstance(layer, Line))
    assert published.value == pytest.approx(600)
    assert plot.x.low <= min(m.x for m in plot.layers if isinstance(m, Marker)) < plot.x.high


def test_words_say_what_binds_and_the_table_every_component(path):
    (view,) = views([path])
    exhibit = roofline([view], {})
    assert "-bound" in str(exhibit.sentence)
    (table,) = exhibit.tables
    names = {str(row[0]) for row in table.rows}
    assert {"attention", "feed-forward", "norm", "optimizer"} <= names
    assert any("measured here" in str(note) for note in exhibit.notes)


def test_without_ceilings_or_profile_it_says_why(tmp_path):
    live = write_run(tmp_path / "short.tfx", make_config(steps=20), status="failed", steps=5)
    (view,) = views([live])
    exhibit = roofline([view], {})
    check_exhibit(exhibit)
    assert str(exhibit.empty)


def test_facts_of_a_later_version_are_no_reason_to_fail(path):
    (view,) = views([path])
    view.data.facts = {**view.data.facts, "ceilings": {"later": 1}}
    assert str(roofline([view], {}).empty)
    with closing(RunReader(path)) as reader:
        assert reader.facts()["ceilings"]["circumstances"]["name"] == "Synthetic device"
    assert made_up(this_cpu(1)).flops
