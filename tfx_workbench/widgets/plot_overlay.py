"""What stands over the data with words: lines, markers, spans, bars and the crosshair, kept inside and apart."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPainterPath

from tfx_workbench.exhibits.exhibit import Bars, Line, Marker, Span
from tfx_workbench.widgets.exhibit_words import said
from tfx_workbench.widgets.plot_items import brush, pen

if TYPE_CHECKING:
    from tfx_workbench.widgets.plot_frame import PlotFrame

_INTERVAL_ALPHA = 40
_HOLLOW_ALPHA = 36
_LINE_HEIGHT = 14.0  # px of a word
DOT = 5  # px from the middle of a named point to its edge
NAME_EVERY = 13.0  # px of height per name of a bar


class Overlay(pg.GraphicsWidget):
    """A child of the frame that lets the mouse through."""

    def __init__(self, frame: PlotFrame) -> None:
        super().__init__()
        self._frame = frame
        self._box = QRectF()
        self._taken: list[QRectF] = []
        self.cross_x: float | None = None
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)

    def setRect(self, box: QRectF) -> None:
        """Cover this part of the frame."""
        if box != self._box:
            self.prepareGeometryChange()
            self._box = box

    def boundingRect(self) -> QRectF:
        return self._box

    def shape(self) -> QPainterPath:
        """Empty: whatever is under the mouse is the data, not the words on it."""
        return QPainterPath()

    def set_cross(self, x: float | None) -> None:
        """Show the crosshair at the value `x`, or none."""
        if x != self.cross_x:
            self.cross_x = x
            self.update()

    # ------------------------------------------------------------------ painting

    def paint(self, painter: QPainter, *_: Any) -> None:
        plot = self._frame.plot
        if plot is None:
            return
        painter.setFont(self._frame.tick_font)
        self._taken = []
        painter.save()
        painter.setClipRect(self._frame.data_rect())
        for layer in plot.layers:
            match layer:
                case Line():
                    self._paint_line(painter, layer)
                case Span():
                    self._paint_span(painter, layer)
                case Bars():
                    self._paint_bars(painter, layer)
        self._paint_cross(painter)
        painter.restore()
        for layer in plot.layers:
            if isinstance(layer, Marker):
                self._paint_marker(painter, layer)
            elif isinstance(layer, Line) and layer.label:
                self._paint_line_label(painter, layer)

    def _value(self, value: float) -> float:
        assert self._frame.plot is not None
        if not self._frame.plot.y.log:
            return value
        return float(np.log10(value)) if value > 0 else float("nan")

    def _colour(self, name: str) -> str:
        return self._frame.palette_in_use.colour(name)

    def _paint_line(self, painter: QPainter, line: Line) -> None:
        box = self._frame.data_rect()
        if line.upright:
            x = round(self._frame.to_pixels(line.value, 0.0).x())
            ends = QPointF(x, box.top()), QPointF(x, box.bottom())
        else:
            y = self._frame.to_pixels(0.0, self._value(line.value)).y()
            if not np.isfinite(y):
                return
            if line.low is not None and line.high is not None:
                high = self._frame.to_pixels(0.0, self._value(line.high)).y()
                low = self._frame.to_pixels(0.0, self._value(line.low)).y()
                interval = QRectF(box.left(), high, box.width(), low - high)
                painter.fillRect(interval, brush(self._colour(line.colour), _INTERVAL_ALPHA))
            ends = QPointF(box.left(), round(y)), QPointF(box.right(), round(y))
        painter.setPen(pen(self._colour(line.colour), line.style))
        painter.drawLine(*ends)

    def _paint_line_label(self, painter: QPainter, line: Line) -> None:
        box = self._frame.data_rect()
        place = self._frame.to_pixels(line.value, self._value(line.value))
        anchor = QPointF(place.x() + 4, box.top() + 8) if line.upright else QPointF(box.right(), place.y() - 8)
        self._write(painter, said(line.label), anchor, self._colour(line.colour), at_right=not line.upright)

    def _paint_span(self, painter: QPainter, span: Span) -> None:
        box = self._frame.data_rect()
        left = max(box.left(), self._frame.to_pixels(span.low, 0.0).x())
        right = min(box.right(), self._frame.to_pixels(span.high, 0.0).x())
        if right <= left:
            return
        painter.setPen(pen(self._colour("line")))
        painter.drawLine(QPointF(round(right), box.top()), QPointF(round(right), box.bottom()))
        words = said(span.label)
        if QFontMetricsF(painter.font()).horizontalAdvance(words) + 4 <= right - left:
            # Above the data, where the unit of the y axis stands to the left.
            painter.setClipping(False)
            painter.setPen(QColor(self._colour("muted")))
            place = QRectF(left, box.top() - _LINE_HEIGHT - 1, right - left, _LINE_HEIGHT)
            painter.drawText(place, Qt.AlignmentFlag.AlignCenter, words)
            painter.setClipping(True)

    def _paint_bars(self, painter: QPainter, bars: Bars) -> None:
        height = abs(self._frame.to_pixels(0.0, 0.0).y() - self._frame.to_pixels(0.0, 1.0).y())
        every = max(1, math.ceil(NAME_EVERY / max(height, 1.0)))  # as the names beside the axis
        for row, (start, end, colour) in enumerate(zip(bars.starts, bars.ends, bars.colours, strict=True)):
            a = self._frame.to_pixels(float(min(start, end)), row + 0.32)
            b = self._frame.to_pixels(float(max(start, end)), row - 0.32)
            if bars.hollow:
                self._paint_outline(painter, QRectF(a, b), self._colour(colour))
            else:
                painter.fillRect(QRectF(a, b), brush(self._colour(colour)))
            if bars.texts and (len(bars.starts) - 1 - row) % every == 0:
                anchor = QPointF(b.x() + 4, (a.y() + b.y()) / 2)
                self._write(painter, said(bars.texts[row]), anchor, self._colour("text"))

    def _paint_outline(self, painter: QPainter, place: QRectF, colour: str) -> None:
        if place.width() > 0:
            painter.fillRect(place, brush(self._colour("card")))  # over the grid
            painter.setPen(pen(colour))
            painter.setBrush(brush(colour, _HOLLOW_ALPHA))
            painter.drawRect(place.toRect().adjusted(0, 0, -1, -1))

    def _paint_marker(self, painter: QPainter, marker: Marker) -> None:
        place = self._frame.to_pixels(marker.x, self._value(marker.y))
        if not self._frame.data_rect().adjusted(-2, -2, 2, 2).contains(place):
            return
        colour = self._colour(marker.colour)
        self._paint_dot(painter, marker, place, colour)
        if not marker.label:
            return
        self._write(painter, said(marker.label), QPointF(place.x() + 6, place.y() - 9), colour)

    def _paint_dot(self, painter: QPainter, marker: Marker, place: QPointF, colour: str) -> None:
        if not marker.name:
            painter.setPen(pen(self._colour("card")))
            painter.setBrush(brush(colour))
            painter.drawRect(QRectF(place.x() - 3, place.y() - 3, 6, 6))
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(pen(colour if marker.hollow else self._colour("card"), width=2 if marker.hollow else 1))
        painter.setBrush(brush(self._colour("card")) if marker.hollow else brush(colour))
        painter.drawEllipse(place, DOT - marker.hollow, DOT - marker.hollow)
        painter.restore()

    def _write(self, painter: QPainter, words: str, anchor: QPointF, colour: str, at_right: bool = False) -> None:
        """Write on a see-through card, inside the data and not over what was written before."""
        box = self._frame.data_rect()
        width = QFontMetricsF(painter.font()).horizontalAdvance(words) + 6
        x = anchor.x() - width if at_right else anchor.x()
        x = min(max(box.left(), x), max(box.left(), box.right() - width))
        y = min(max(box.top(), anchor.y() - _LINE_HEIGHT / 2), box.bottom() - _LINE_HEIGHT)
        place = QRectF(x, y, width, _LINE_HEIGHT)
        for _ in range(4):
            hit = next((t for t in self._taken if t.intersects(place)), None)
            if hit is None:
                break
            place.moveTop(hit.bottom() + 1)
        self._taken.append(place)
        painter.fillRect(place, brush(self._colour("card"), 190))
        painter.setPen(QColor(colour))
        painter.drawText(place, Qt.AlignmentFlag.AlignCenter, words)

    def _paint_cross(self, painter: QPainter) -> None:
        if self.cross_x is None:
            return
        box = self._frame.data_rect()
        x = round(self._frame.to_pixels(self.cross_x, 0.0).x())
        painter.setPen(pen(self._colour("muted"), "dotted"))
        painter.drawLine(QPointF(x, box.top()), QPointF(x, box.bottom()))
