"""The legend in the card names every colour, or counts those for which there is no room."""

from __future__ import annotations

import numpy as np
import pytest

from tfx_workbench.exhibits.exhibit import Axis, Exhibit, HeatMap, Plot
from tfx_workbench.exhibits.palette import DARK, LIGHT
from tfx_workbench.widgets.exhibit_view import ExhibitView
from tfx_workbench.widgets.legend_bar import Entry, LegendBar


def test_a_heat_map_has_its_scale_in_the_legend(qtbot):
    heat = HeatMap("h", np.array([[0.01, 10.0]]), 0, 100, ("a",), "norm, log scale", log=True)
    view = ExhibitView("Test")
    qtbot.addWidget(view, before_close_func=lambda v: v.close_view())
    view.show_exhibit(Exhibit("test", "Test", plots=(Plot("p", Axis(), Axis(), (heat,)),)))
    scale = view.legend._scale
    assert (scale.low, scale.high, scale.label) == ("0.010", "10", "norm, log scale")


def test_a_legend_names_what_fits_and_counts_the_rest(qtbot):
    legend = LegendBar()
    qtbot.addWidget(legend)
    legend.resize(200, 40)
    legend.show()
    legend.show_legend([Entry(f"configuration {i}", f"run:{i}") for i in range(9)])
    assert 2 <= len(legend._places) < 9
    assert legend.heightForWidth(200) == 32 and legend.heightForWidth(4000) == 16
    assert "configuration 8" in legend.toolTip()
    legend.grab()


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda p: p.name)
def test_every_entry_is_painted_in_its_colour(qtbot, palette):
    legend = LegendBar()
    qtbot.addWidget(legend)
    legend.apply_theme(palette)
    legend.resize(400, 32)
    legend.show()
    legend.show_legend([Entry("a & b", "run:0"), Entry("c", "run:1", "dashed"), Entry("d", "category:other", "area")])
    image = legend.grab().toImage()
    seen = {image.pixelColor(x, y).name() for x in range(image.width()) for y in range(image.height())}
    assert {palette.colour(e.colour).lower() for e in legend._entries} <= seen
