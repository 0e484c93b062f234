"""One pair of axes: quiet ticks, a faint horizontal grid, unit above the axis, and its layers. Imports pyqtgraph.

The frame paints grid and ticks itself, under the data; an overlay paints what has words (lines, markers, spans, the
crosshair) over it, where it can be kept inside and apart. Layers are updated in place: an item is made when a layer's
`key` first appears and removed when it is gone.
"""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pyqtgraph as pg
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter
from PySide6.QtWidgets import QGraphicsSceneMouseEvent

from tfx_workbench.exhibits.exhibit import Bars, Curve, HeatMap, Plot, Stack
from tfx_workbench.exhibits.palette import Palette
from tfx_workbench.exhibits.ranges import Range, ranges
from tfx_workbench.exhibits.ticks import ticks
from tfx_workbench.widgets.exhibit_words import said
from tfx_workbench.widgets.plot_items import CurveItem, HeatMapItem, StackItem, pen
from tfx_workbench.widgets.plot_overlay import NAME_EVERY, Overlay

_ITEMS: dict[type, type[Any]] = {Curve: CurveItem, Stack: StackItem, HeatMap: HeatMapItem}
_TOP, _BOTTOM, _RIGHT, _LEFT = 22, 18, 10, 28  # px around the data; the left grows with the words of the ticks
_WORDS_GAP = 6
_TICK_EVERY = 34.0  # px of height per tick
Tick = tuple[float, str]


class QuietViewBox(pg.ViewBox):
    """pyqtgraph's view box without menu, border and auto range; a double click shows everything again."""

    def __init__(self, frame: PlotFrame) -> None:
        super().__init__(enableMenu=False, border=None)
        self._frame = frame
        self.disableAutoRange()
        self.setDefaultPadding(0.0)

    def mouseDoubleClickEvent(self, event: QGraphicsSceneMouseEvent) -> None:
        self._frame.reset_zoom()
        event.accept()


class PlotFrame(pg.GraphicsWidget):
    """Shows one `Plot`; `show_plot` may be called as often as there is something new."""

    looked_at = Signal(object)  # (low, high) of x where somebody zoomed or panned, None where all is shown again

    def __init__(self, palette: Palette) -> None:
        super().__init__()
        self.plot: Plot | None = None
        self._palette = palette
        self._items: dict[str, Any] = {}
        self._ranges: tuple[Range, Range] | None = None
        self._zoomed = False
        self._left = _LEFT
        self._ticked: list[list[float]] = []  # the range that the ticks are for
        self._ticks: tuple[list[Tick], list[Tick]] = ([], [])
        self.view = QuietViewBox(self)
        self.view.setParentItem(self)
        self.overlay = Overlay(self)
        self.overlay.setParentItem(self)
        self.overlay.setZValue(10)
        self.view.sigRangeChangedManually.connect(self._on_zoom)
        self.view.sigRangeChanged.connect(self._on_range)

    # ------------------------------------------------------------------ data

    def show_plot(self, plot: Plot, palette: Palette) -> None:
        """Take on new data and colours."""
        self.plot, self._palette = plot, palette
        drawn: dict[str, Any] = {}
        for order, layer in enumerate(plot.layers):
            make = _ITEMS.get(type(layer))
            if make is None:
                continue
            item = self._items.get(layer.key)
            if not isinstance(item, make):
                item = make()
                self.view.addItem(item, ignoreBounds=True)
            item.setZValue(order)
            item.show_layer(layer, plot.y.log, palette)
            drawn[layer.key] = item
        for key, item in self._items.items():
            if drawn.get(key) is not item:
                self.view.removeItem(item)
        self._items = drawn
        self._ranges = ranges(plot, self._ranges)
        if not self._zoomed:
            self._show_ranges()
        self.refresh()

    @property
    def items(self) -> dict[str, Any]:
        """What is drawn, by the key of its layer."""
        return dict(self._items)

    def reset_zoom(self) -> None:
        """Show all of the data again."""
        self._zoomed = False
        self._show_ranges()
        self.refresh()
        self.looked_at.emit(None)

    def zoom(self, factor: float) -> None:
        """Show `factor` of the x range that is shown, about its middle."""
        self.view.scaleBy((factor, 1.0))
        self._on_zoom()

    def close_frame(self) -> None:
        """Let go of all items."""
        self.view.sigRangeChangedManually.disconnect(self._on_zoom)
        self.view.sigRangeChanged.disconnect(self._on_range)
        for item in self._items.values():
            self.view.removeItem(item)
        self._items = {}
        self.plot = None
        self.view.close()

    def _show_ranges(self) -> None:
        if self._ranges is None:
            return
        x, y = self._ranges
        self.view.setRange(xRange=(x.low, x.high), yRange=(y.low, y.high), padding=0.0, disableAutoRange=True)

    def _on_zoom(self, *_: Any) -> None:
        self._zoomed = True
        self.looked_at.emit(tuple(self.view.viewRange()[0]))

    def _on_range(self, *_: Any) -> None:
        # The view box says so once more when it is painted: painting again for that would never end.
        if self.view.viewRange() != self._ticked:
            self.refresh()

    # ------------------------------------------------------------------ geometry

    @property
    def palette_in_use(self) -> Palette:
        """The colours of the last `show_plot`."""
        return self._palette

    def data_rect(self) -> QRectF:
        """Where the data is drawn, in this item's pixels."""
        box = self.rect()
        width, height = box.width() - self._left - _RIGHT, box.height() - _TOP - _BOTTOM
        return QRectF(self._left, _TOP, max(1.0, width), max(1.0, height))

    def to_pixels(self, x: float, y: float) -> QPointF:
        """Where a value (log10 on a log axis) is drawn, in this item's pixels."""
        (x_low, x_high), (y_low, y_high) = self.view.viewRange()
        box = self.data_rect()
        return QPointF(
            box.left() + (x - x_low) / ((x_high - x_low) or 1.0) * box.width(),
            box.bottom() - (y - y_low) / ((y_high - y_low) or 1.0) * box.height(),
        )

    def to_values(self, place: QPointF) -> tuple[float, float]:
        """The value (log10 on a log axis) at a place in this item's pixels."""
        (x_low, x_high), (y_low, y_high) = self.view.viewRange()
        box = self.data_rect()
        x = x_low + (place.x() - box.left()) / box.width() * (x_high - x_low)
        return x, y_low + (box.bottom() - place.y()) / box.height() * (y_high - y_low)

    def resizeEvent(self, event: Any) -> None:
        self.refresh()

    def refresh(self) -> None:
        """Work out the ticks again and paint."""
        if self.plot is None:
            return
        metrics = QFontMetricsF(self._font())
        self._ticked = self.view.viewRange()
        (x_low, x_high), (y_low, y_high) = self._ticked
        box = self.data_rect()
        axis, every = self.plot.y, _TICK_EVERY
        if any(isinstance(layer, Bars) for layer in self.plot.layers):  # where names are left out, not the topmost
            axis, every = dataclasses.replace(axis, ticks=axis.ticks[::-1]), NAME_EVERY
        upright = [(at, said(words)) for at, words in ticks(axis, y_low, y_high, max(2.0, box.height() / every))]
        upright = apart(upright, metrics.ascent() * (y_high - y_low) / max(1.0, box.height()))
        widest = max([metrics.horizontalAdvance(text) for _, text in upright], default=0.0)
        # In steps of eight pixels, so that the plot does not jump with every new digit.
        self._left = max(_LEFT, -(-(int(widest) + _WORDS_GAP) // 8) * 8)
        self._ticks = (self._level_ticks(metrics, x_low, x_high), upright)
        self.view.setGeometry(self.data_rect())
        self.overlay.setRect(self.rect())
        self.overlay.update()
        self.update()

    def _level_ticks(self, metrics: QFontMetricsF, low: float, high: float) -> list[Tick]:
        assert self.plot is not None
        width = self.data_rect().width()
        found: list[Tick] = []
        for count in (8.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0):
            found = [(at, said(words)) for at, words in ticks(self.plot.x, low, high, count)]
            if sum(metrics.horizontalAdvance(text) + 22 for _, text in found) < width:
                break
        return found

    def _font(self) -> QFont:
        font = QFont(self.scene().views()[0].font()) if self.scene() and self.scene().views() else QFont()
        font.setPointSizeF(max(7.0, font.pointSizeF() - 1))
        return font

    @property
    def tick_font(self) -> QFont:
        """One point smaller than the window's text."""
        return self._font()

    # ------------------------------------------------------------------ painting

    def paint(self, painter: QPainter, *_: Any) -> None:
        if self.plot is None:
            return
        painter.setFont(self._font())
        metrics = QFontMetricsF(painter.font())
        box = self.data_rect()
        self._paint_caption(painter, box)
        self._paint_upright(painter, box, metrics)
        self._paint_level(painter, box, metrics)

    def _paint_caption(self, painter: QPainter, box: QRectF) -> None:
        assert self.plot is not None
        words = ", ".join(filter(None, [said(self.plot.y.title), self.plot.y.unit]))
        painter.setPen(QColor(self._palette.muted))
        text = QFontMetricsF(painter.font()).elidedText(words, Qt.TextElideMode.ElideRight, self.rect().width() - 4)
        painter.drawText(QRectF(0, 0, self.rect().width(), 14), Qt.AlignmentFlag.AlignVCenter, text)

    def _paint_upright(self, painter: QPainter, box: QRectF, metrics: QFontMetricsF) -> None:
        grid, words = pen(self._palette.line), QColor(self._palette.muted)
        align = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        for value, text in self._ticks[1]:
            y = round(self.to_pixels(0.0, value).y())
            painter.setPen(grid)
            painter.drawLine(QPointF(box.left(), y), QPointF(box.right(), y))
            painter.setPen(words)
            painter.drawText(QRectF(0, y - 8, self._left - _WORDS_GAP, 16), align, text)

    def _paint_level(self, painter: QPainter, box: QRectF, metrics: QFontMetricsF) -> None:
        assert self.plot is not None
        painter.setPen(QColor(self._palette.muted))
        title = ", ".join(filter(None, [said(self.plot.x.title), self.plot.x.unit]))
        room = metrics.horizontalAdvance(title) + 10
        top = box.bottom() + 3
        right_edge = self.rect().width()
        align = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(0, top, right_edge, 14), align, title)
        for value, text in self._ticks[0]:
            width = metrics.horizontalAdvance(text)
            x = self.to_pixels(value, 0.0).x()
            left = max(0.0, x - width / 2)
            if left + width > right_edge - room:
                continue  # the axis' own name stands there
            painter.drawText(QRectF(left, top, width + 2, 14), Qt.AlignmentFlag.AlignVCenter, text)


def apart(found: list[Tick], least: float) -> list[Tick]:
    """Of ticks along an axis only the first and the last where words would lie on one another: less than `least`."""
    gaps = [abs(after[0] - before[0]) for before, after in itertools.pairwise(found)]
    return [found[0], found[-1]] if len(found) > 2 and min(gaps) < least else found
