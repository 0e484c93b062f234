"""The body of the attention card: the grid of all heads, the chosen one large, a scrubber over the captured steps."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QSignalBlocker, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QPushButton, QSlider, QWidget

from tfx_workbench.exhibits.exhibit import Images
from tfx_workbench.exhibits.palette import Palette
from tfx_workbench.widgets.attention_grid import AttentionGrid
from tfx_workbench.widgets.attention_map import AttentionMap

_GAP, _ROW = 12, 22  # px
_GRID_SHARE = 0.42  # of the width, or of the height, at most
_LEAST_SHARE = 0.3  # of the width, where the map would be larger with what the grid leaves


class AttentionBody(QWidget):
    """Emits what was chosen: `head_chosen(row, head)`, `capture_chosen(index)`, and `probe_wanted()`."""

    head_chosen = Signal(int, int)
    capture_chosen = Signal(int)
    probe_wanted = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.grid = AttentionGrid(self)
        self.map = AttentionMap(self)
        self.scrubber = QSlider(Qt.Orientation.Horizontal, self)
        self.scrubber.setAccessibleName(self.tr("Captured step"))
        self._step = QLabel(self)
        self._step.setObjectName("muted")
        self._step.setTextFormat(Qt.TextFormat.PlainText)
        self.probe = QPushButton(self.tr("Full resolution"), self)
        self.probe.setObjectName("disclosure")
        self.probe.setToolTip(self.tr("Capture this head once more with every single weight, at the next step."))
        self.grid.chosen.connect(self.head_chosen)
        self.scrubber.valueChanged.connect(self.capture_chosen)
        self.probe.clicked.connect(self.probe_wanted)

    def apply_theme(self, palette: Palette) -> None:
        """Take on these colours."""
        self.grid.apply_theme(palette)
        self.map.apply_theme(palette)

    def show_images(self, images: Images, steps: Sequence[int], index: int, can_probe: bool) -> None:
        """Take on maps; `steps` were captured, that of `index` is shown. `can_probe`: more can be asked of the run."""
        self.grid.show_images(images)
        self.map.show_images(images)
        with QSignalBlocker(self.scrubber):
            self.scrubber.setRange(0, max(0, len(steps) - 1))
            self.scrubber.setValue(index)
        self.scrubber.setEnabled(len(steps) > 1)
        self._step.setText(self.tr("step {step}").format(step=f"{steps[index]:,}"))
        self.probe.setVisible(can_probe and images.large_pool > 1)
        self._lay_out()

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._lay_out()
        super().resizeEvent(event)

    def _lay_out(self) -> None:
        """The grid beside the map or above it, whichever leaves the map more; the scrubber right under both."""
        width, height = self.width(), self.height() - _ROW - 4
        share = min(_GRID_SHARE * width, max(_LEAST_SHARE * width, width - _GAP - height))
        left = self.grid.width_for(height, int(share))
        top = self.grid.height_for(width, int(max(_GRID_SHARE * height, height - _GAP - width)))
        beside, below = min(width - left - _GAP, height), min(width, height - top - _GAP)
        if beside >= below:
            self.grid.setGeometry(0, 0, left, height)
            self.map.setGeometry(left + _GAP, 0, max(1, width - left - _GAP), height)
            end = height
        else:
            self.grid.setGeometry(0, 0, width, top)
            self.map.setGeometry(0, top + _GAP, width, max(1, below))
            end = top + _GAP + max(1, below)
        step = self._step.sizeHint().width()
        probe = self.probe.sizeHint().width() if self.probe.isVisibleTo(self) else 0
        self._step.setGeometry(width - step, end + 4, step, _ROW)
        self.probe.setGeometry(width - step - probe - 8, end + 4, probe, _ROW)
        self.scrubber.setGeometry(0, end + 4, max(20, width - step - probe - (16 if probe else 8)), _ROW)
