"""Zooming into a long run shows its single steps; showing everything again shows what it showed before."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import Qt
from pytestqt.qtbot import QtBot

from tests.helpers.exhibits import views
from tests.helpers.synthetic_run import make_config, write_run
from tests.helpers.windows import wait
from tfx_workbench.exhibits.exhibit import Curve
from tfx_workbench.exhibits.kind import exhibit_type
from tfx_workbench.runs import stepcolumns
from tfx_workbench.widgets.exhibit_panel import ExhibitPanel

STEPS = 4000


def steps_of(panel: ExhibitPanel) -> np.ndarray:
    (plot,) = panel.view.canvas._plots
    return next(layer.x for layer in plot.layers if isinstance(layer, Curve))


@pytest.mark.parametrize("over", ["step", "time"])
def test_zooming_in_shows_single_steps_and_home_shows_all_again(tmp_path, monkeypatch, qtbot: QtBot, over) -> None:
    monkeypatch.setattr(stepcolumns, "CAPACITY", 256)
    path = write_run(tmp_path / "long.tfx", make_config("long", steps=STEPS, warmup_steps=0))
    panel = ExhibitPanel(exhibit_type("loss"))
    qtbot.addWidget(panel)
    panel.resize(600, 300)
    panel.show()
    panel.update_runs(views([path]), {"over": over})
    whole = steps_of(panel)
    (frame,) = panel.view.canvas.frames.values()
    low, high = frame.view.viewRange()[0]
    while frame.view.viewRange()[0][1] - frame.view.viewRange()[0][0] > (high - low) / 20:
        qtbot.keyClick(panel.view.canvas, Qt.Key.Key_Plus)
    left, right = frame.view.viewRange()[0]

    def count_inside() -> int:
        x = steps_of(panel)
        return int(np.count_nonzero((x >= left) & (x <= right)))

    wait(lambda: count_inside() >= 0.9 * STEPS * (right - left) / (high - low))
    assert len(steps_of(panel)) < len(whole) + 800
    assert "window" not in panel.choices(), "where one looked is not kept"
    qtbot.keyClick(panel.view.canvas, Qt.Key.Key_Home)
    wait(lambda: np.array_equal(steps_of(panel), whole))
    panel.close_panel()
