"""Time and memory by component, layer and tensor: what is shown adds up, and a click leads in and back."""

from __future__ import annotations

import numpy as np
import pytest

from tests.helpers.exhibits import check_exhibit, views
from tests.helpers.synthetic_run import write_five
from tfx_workbench.exhibits.exhibit import Bars, Stack
from tfx_workbench.exhibits.kind import exhibit_type
from tfx_workbench.exhibits.readout import read

SIZES = {"layers": 2, "heads": 2, "context": 16, "width": 16}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return views(write_five(tmp_path_factory.mktemp("five"), steps=30, **SIZES))


def made(name, runs, **choices):
    exhibit = exhibit_type(name).make(runs, choices)
    check_exhibit(exhibit)
    return exhibit


def bars_of(exhibit):
    return [layer for layer in exhibit.plots[0].layers if isinstance(layer, Bars) and layer.label]


@pytest.mark.parametrize("view", ["component", "run"])
def test_bars_of_time_add_up_to_the_steps(runs, view):
    exhibit = made("time", runs, view=view)
    lengths = np.array([layer.ends - layer.starts for layer in bars_of(exhibit)]).sum(axis=0)
    steps = [r.data.summary()["time_ms"]["step"] for r in runs]
    if view == "run":
        assert lengths[::-1] == pytest.approx(steps)
    else:
        assert lengths.sum() == pytest.approx(steps[-1])


def test_what_a_bar_is_divided_into_can_be_read_off(runs):
    plot = made("time", runs).plots[0]
    top = len(bars_of(made("time", runs))[0].labels) - 1
    readout = read(plot, 0.0, float(top))
    assert [str(r.label) for r in readout.readings][:1] == ["total"] and len(readout.readings) >= 2
    assert read(plot, 0.0, top + 2.0) is None


def test_memory_by_component_adds_up_to_the_peak(runs):
    exhibit = made("memory_modules", runs, view="component")
    probe = max(runs[-1].data.memory_probes, key=lambda p: p.peak_bytes)
    unit = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[exhibit.plots[0].x.unit]
    whole = sum((layer.ends - layer.starts).sum() for layer in bars_of(exhibit)) * unit
    assert whole == pytest.approx(probe.peak_bytes)


def test_a_layer_opens_to_its_tensors_and_leads_back(runs):
    layers = made("memory_modules", runs, view="layer").tables[0]
    assert layers.chooses == "layer" and "blocks.1" in layers.keys and len(layers.keys) == len(layers.rows)
    opened = made("memory_modules", runs, view="layer", layer="blocks.1").tables[0]
    assert opened.keys[0] == "" and "block 2" in str(opened.rows[0][0])
    assert {str(row[0]) for row in opened.rows[1:]} == {"attention.query", "feedforward.up"}
    assert "128 × 16 float32" in str(opened.rows[1][3]) and "addmm" in str(opened.rows[1][4])
    assert made("memory_modules", runs, view="layer", layer="blocks.99").tables[0].key == "layers"


@pytest.mark.parametrize("by", ["component", "category"])
def test_the_timeline_adds_up_to_what_is_allocated(runs, by):
    exhibit = made("step_timeline", runs, by=by)
    (stack,) = [layer for layer in exhibit.plots[0].layers if isinstance(layer, Stack)]
    probe = max(runs[-1].data.memory_probes, key=lambda p: p.peak_bytes)
    unit = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}[exhibit.plots[0].y.unit]
    assert stack.values.sum(axis=1).max() * unit == pytest.approx(probe.peak_bytes)
    assert len(exhibit.legend) == len(stack.areas) >= 2


def test_operators_are_put_together_or_told_by_place(runs):
    together = made("operators", runs).tables[0]
    places = made("operators", runs, view="places").tables[0]
    assert len(places.rows) > len(together.rows) > 1
    assert {str(row[0]) for row in places.rows} == {str(row[0]) for row in together.rows}
    assert "CPU" in str(made("operators", runs, view="kernels").notes[0])
