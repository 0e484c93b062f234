"""A bar of memory: the categories of the peak side by side, to the scale of the device where that shows anything."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QBrush, QColor, QPainter, QPainterPath, QPaintEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from tfx_engine.protocol.metrics import CATEGORIES
from tfx_workbench.exhibits.format import percent, size
from tfx_workbench.exhibits.palette import LIGHT, Palette
from tfx_workbench.widgets.words import plain_tip

HEIGHT = 12
SMALL = 0.05  # of the device: a smaller peak fills the bar by itself, else there would be nothing to see
_RADIUS = 3.0
_THINNEST = 1.0  # pixels


class MemoryBar(QWidget):
    """Shows `show_memory`; what is beyond the device's end lies behind a line."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._palette: Palette = LIGHT
        self._sizes: dict[str, int] = {}
        self._capacity: int | None = None
        self._is_old = False
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def set_palette(self, palette: Palette) -> None:
        """Take on the colours of a theme."""
        self._palette = palette
        self.update()

    def show_memory(self, sizes: Mapping[str, int], capacity: int | None) -> None:
        """Bytes by category, and how many the device has, where that is known."""
        self._sizes = {name: sizes[name] for name in CATEGORIES if sizes.get(name)}
        self._capacity = capacity
        self.setToolTip(plain_tip(self._tip()))
        self.setAccessibleName(self._tip())
        self.update()

    def show_age(self, is_old: bool) -> None:
        """Draw more faintly what is of an older configuration."""
        self._is_old = is_old
        self.update()

    @property
    def peak(self) -> int:
        """Bytes of all categories together."""
        return sum(self._sizes.values())

    @property
    def whole(self) -> int:
        """Bytes that the whole bar stands for."""
        if self._capacity is None or self.peak < SMALL * self._capacity:
            return max(1, self.peak)
        return max(self._capacity, self.peak)

    def segments(self) -> list[tuple[str, float, float]]:
        """(category, begin, end) as shares of the bar."""
        found, done = [], 0
        for name, value in self._sizes.items():
            found.append((name, done / self.whole, (done + value) / self.whole))
            done += value
        return found

    def _tip(self) -> str:
        lines = [self.tr("Memory at the peak of a step, as predicted:")]
        lines += [f"{self._name(name)}: {size(value)} · {percent(100 * value / max(1, self.peak))}"
                  for name, value in self._sizes.items()]
        if self._capacity is not None:
            share = percent(100 * self.peak / self._capacity)
            lines.append(self.tr("{share} of the {size} that the device has").format(
                share=share, size=size(self._capacity)))
            if self.peak < SMALL * self._capacity:
                lines.append(self.tr("The bar shows the peak alone; on the device's scale it would be too short."))
        return "\n".join(lines)

    def _name(self, category: str) -> str:
        return {
            "parameters": self.tr("parameters"), "gradients": self.tr("gradients"), "optimizer": self.tr("optimizer"),
            "activations": self.tr("activations"), "adapters": self.tr("adapters"), "temporary": self.tr("temporary"),
            "other": self.tr("other"),
        }[category]

    def sizeHint(self) -> QSize:
        return QSize(160, HEIGHT)

    def minimumSizeHint(self) -> QSize:
        return QSize(40, HEIGHT)

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            box = QRectF(self.rect())
            shape = QPainterPath()
            shape.addRoundedRect(box, _RADIUS, _RADIUS)
            painter.setClipPath(shape)
            painter.fillRect(box, QColor(self._palette.line))
            painter.setOpacity(0.4 if self._is_old else 1.0)
            for name, begin, end in self.segments():
                width = max(_THINNEST, (end - begin) * box.width())
                painter.fillRect(QRectF(begin * box.width(), 0, width, box.height()),
                                 QColor(self._palette.colour(f"category:{name}")))
            if self._capacity is not None and self._capacity < self.whole:
                edge = box.width() * self._capacity / self.whole
                painter.fillRect(QRectF(edge, 0, box.width() - edge, box.height()), QBrush(
                    QColor(self._palette.worse), Qt.BrushStyle.BDiagPattern))
                painter.fillRect(QRectF(edge - 1, 0, 2, box.height()), QColor(self._palette.worse))
