"""What a window has loaded and what it holds: little before it is seen, and no more for a longer run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QImage, QPainter

from tests.helpers.synthetic_run import make_config, running
from tests.helpers.windows import all_drawn, wait, window
from tfx_workbench.exhibits.by_step import POINTS
from tfx_workbench.exhibits.exhibit import Curve, Stack
from tfx_workbench.widgets.plot_items import _fill_see_through, _tiles, brush

STEPS = 60_000
SEEN = """
import sys
from pathlib import Path
from PySide6.QtWidgets import QApplication
app = QApplication([])
from tests.helpers.windows import window
with window(Path(sys.argv[1]), begun=False) as made:
    assert made.grab().width() > 0
    print(*sorted({m.partition('.')[0] for m in sys.modules}), *(m for m in sys.modules if m.startswith("tfx_")))
"""


def test_a_window_is_painted_before_plots_engine_client_and_figures_are_loaded(tmp_path: Path, repo: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(repo)}
    argv = [sys.executable, "-c", SEEN, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert {"PySide6", "tfx_workbench.app.window"} <= loaded
    late = {"torch", "pyqtgraph", "scipy", "psutil", "tfx_engine.client", "tfx_engine.pretrained.importing"}
    assert not (late | {"tfx_workbench.panels"}) & loaded


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 60,000 steps by the real writer, its numbers those of its first thousand."""
    path = tmp_path_factory.mktemp("library") / "runs" / "long.tfx"
    path.parent.mkdir()
    with running(path, make_config("long", steps=STEPS)) as run:
        run.advance(1000)
        columns = run.numbers.step(1000, "measure")
        for step in range(1001, STEPS + 1):
            run.writer.step(t_ms=run.t_ms + step, **{**columns, "step": step})
            if step % 2000 == 0:
                run.writer.flush()  # on a busy machine the end would wait too long for all at once
        run.end("finished")
    return path


@pytest.mark.usefixtures("qapp")
def test_a_run_of_any_length_is_drawn_from_a_few_thousand_points(long_run: Path) -> None:
    with window(long_run.parent.parent) as made:
        made.session.open([long_run])
        wait(lambda: made.session.runs.views(), "the run is read")
        wait(lambda: all_drawn(made), "all panels show it")
        (view,) = made.session.runs.views()
        assert len(view.data.steps) == STEPS
        canvases = [c for dock in made.area.docks.values() if (c := dock.panel.view.canvas) is not None]
        layers = [layer for c in canvases for frame in c.frames.values() for layer in frame.plot.layers]
        lengths = [len(layer.x) for layer in layers if isinstance(layer, Curve | Stack)]
        assert max(lengths) > POINTS / 4, "the curves of the run are among them"
        assert max(lengths) <= POINTS and sum(lengths) <= 10 * POINTS


@pytest.mark.parametrize("ratio", [1.0, 1.5, 2.0])
def test_a_band_is_painted_to_the_pixel_as_qt_would_blend_it(ratio: float) -> None:
    x = np.arange(60.0)
    tiles = _tiles(x, x + 1, 10 + x % 7, 30 + x % 11)
    colour = brush("#cc3311", 56)

    def painted(own_way: bool) -> QImage:
        image = QImage(int(90 * ratio), int(60 * ratio), QImage.Format.Format_RGB32)
        image.setDevicePixelRatio(ratio)
        image.fill(Qt.GlobalColor.white)
        painter = QPainter(image)
        painter.setClipRect(QRectF(5, 4, 70, 33))
        painter.translate(QPointF(-3.25, 2.5))
        painter.scale(1.5, 1.25)
        if own_way:
            _fill_see_through(painter, tiles, QRectF(-1, 9, 62, 33), colour)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        if not own_way:
            painter.drawRects(*tiles.drawargs())
        painter.drawRect(QRectF(20, 12, 4, 4))  # what is painted next is where it was
        painter.end()
        return image

    ours, theirs = painted(True), painted(False)
    assert ours == theirs
    assert ours.pixelColor(int(45 * ratio), int(30 * ratio)).name() != "#ffffff"
