"""What is drawn inside a plot's axes: curves with their band, stacks, heat maps. Imports pyqtgraph: import late.

Every item is drawn in one `paint` with pens of width 1 and no antialiasing, from polygons that are made when the data
changes, not when the picture does. A wider line through the same points takes Qt seventy times as long, as it works out
the joins; where a screen has several pixels to one, a solid line is therefore drawn as separate segments.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pyqtgraph as pg
from pyqtgraph.functions import arrayToQPolygonF
from pyqtgraph.Qt.internals import PrimitiveArray
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QBrush, QColor, QImage, QPainter, QPen, QPolygonF, QTransform

from tfx_workbench.exhibits.colour_maps import colour_table, indices
from tfx_workbench.exhibits.exhibit import Curve, HeatMap, Stack
from tfx_workbench.exhibits.palette import Palette
from tfx_workbench.exhibits.ranges import colour_limits, log10

_BAND_ALPHA = 56
_FINE = 1.5  # pixels of the screen to one of ours
_DOT = 4  # px
_MOST_POINTS = 4096  # of one curve on screen
_STYLES = {"solid": Qt.PenStyle.SolidLine, "dashed": Qt.PenStyle.DashLine, "dotted": Qt.PenStyle.DotLine}


@functools.lru_cache(maxsize=256)
def pen(colour: str, style: str = "solid", width: int = 1) -> QPen:
    """A cosmetic pen; making one for every frame costs more than drawing with it."""
    result = QPen(QColor(colour), width, _STYLES[style])
    result.setCosmetic(True)
    return result


@functools.lru_cache(maxsize=256)
def brush(colour: str, alpha: int = 255) -> QBrush:
    """A filling, see-through where `alpha` is below 255."""
    shade = QColor(colour)
    shade.setAlpha(alpha)
    return QBrush(shade)


def polygon(x: np.ndarray, y: np.ndarray) -> QPolygonF:
    """The points (x, y); pyqtgraph's own function fails where there are none."""
    return arrayToQPolygonF(x, y) if len(x) else QPolygonF()


def segments(x: np.ndarray, y: np.ndarray) -> PrimitiveArray:
    """The pieces of the line through (x, y), one by one."""
    result = PrimitiveArray(QLineF, 4)
    result.resize(max(0, len(x) - 1))
    memory = result.ndarray()
    memory[:, 0], memory[:, 1], memory[:, 2], memory[:, 3] = x[:-1], y[:-1], x[1:], y[1:]
    return result


def _runs_of(known: np.ndarray) -> list[slice]:
    """The stretches in which `known` [n] is true."""
    if known.all():
        return [slice(0, len(known))] if len(known) else []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]]).astype(np.int8)))
    return [slice(a, b) for a, b in edges.reshape(-1, 2)]


def _tiles(left: np.ndarray, right: np.ndarray, low: np.ndarray, high: np.ndarray) -> PrimitiveArray:
    """Upright rectangles; filling them costs a fortieth of filling one ragged polygon of the same shape."""
    seen = (high > low) & (right > left)
    result = PrimitiveArray(QRectF, 4)
    result.resize(int(np.count_nonzero(seen)))
    memory = result.ndarray()
    memory[:, 0], memory[:, 1] = left[seen], low[seen]
    memory[:, 2], memory[:, 3] = (right - left)[seen], (high - low)[seen]
    return result


def _fill_see_through(painter: QPainter, tiles: PrimitiveArray, bounds: QRectF, filling: QBrush) -> None:
    """Fill rectangles that lie within `bounds` so that what is under them can be seen.

    Qt overwrites rectangles as a whole but blends them line by line, which takes 60 times as long (800 of them: 10 ms
    against 0.15). So they overwrite an empty layer, and the layer is blended.
    """
    device, where = painter.device(), painter.combinedTransform()  # to pixels of the screen
    ratio = device.devicePixelRatioF()
    seen = where.mapRect(bounds) & QRectF(0, 0, device.width() * ratio, device.height() * ratio)
    if painter.hasClipping():
        seen &= where.mapRect(painter.clipBoundingRect())
    area = seen.toAlignedRect()
    if area.isEmpty():
        return
    layer = QImage(area.size(), QImage.Format.Format_ARGB32_Premultiplied)
    layer.fill(Qt.GlobalColor.transparent)
    filler = QPainter(layer)
    filler.setCompositionMode(QPainter.CompositionMode.CompositionMode_Source)
    filler.setTransform(where * QTransform.fromTranslate(-area.x(), -area.y()))
    filler.setPen(Qt.PenStyle.NoPen)
    filler.setBrush(filling)
    filler.drawRects(*tiles.drawargs())
    filler.end()
    layer.setDevicePixelRatio(ratio)
    painter.save()
    painter.resetTransform()
    painter.drawImage(QPointF(area.topLeft()) / ratio, layer)
    painter.restore()


def _as_steps(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]


class _Item(pg.GraphicsObject):
    """An item that is as large as its data."""

    def __init__(self) -> None:
        super().__init__()
        self._bounds = QRectF()

    def boundingRect(self) -> QRectF:
        return self._bounds

    def _set_bounds(self, x: np.ndarray, low: float, high: float) -> None:
        self.prepareGeometryChange()
        if not len(x) or not (np.isfinite(low) and np.isfinite(high)):
            self._bounds = QRectF()
            return
        width, height = float(x[-1] - x[0]), high - low
        # A rectangle without height or width would never be painted.
        dx, dy = 0.01 * width or 0.5, 0.01 * height or 0.5
        self._bounds = QRectF(float(x[0]) - dx, low - dy, width + 2 * dx, height + 2 * dy)


class CurveItem(_Item):
    """A curve, its band, and points where they are few."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[QPolygonF] = []
        self._band: PrimitiveArray | None = None
        self._segments: list[PrimitiveArray] = []
        self._dots = QPolygonF()
        self._colour, self._style = "#000000", "solid"

    def show_layer(self, curve: Curve, log: bool, palette: Palette) -> None:
        """Take on new data; `log`: the plot shows the logarithm of y."""
        arrays = [np.asarray(a, dtype=np.float64) for a in (curve.x, curve.y)]
        band = [np.asarray(a, dtype=np.float64) for a in (curve.low, curve.high) if a is not None]
        x, y, *band = (a[-_MOST_POINTS:] for a in (*arrays, *band))
        if log:
            y, *band = (log10(a) for a in (y, *band))
        known = np.isfinite(y) & np.isfinite(x)
        runs = _runs_of(known)
        paths = [_as_steps(x[r], y[r]) if curve.steps else (x[r], y[r]) for r in runs]
        self._lines = [polygon(px, py) for px, py in paths] if curve.line else []
        self._segments = [segments(px, py) for px, py in paths] if curve.line and self._is_fine() else []
        self._band = self._make_band(x, band)
        # A single value between gaps has no line to be seen by.
        lone = [r.start for r in runs if r.stop - r.start == 1]
        dots = np.flatnonzero(known) if curve.points else np.array(lone, dtype=np.intp)
        self._dots = polygon(x[dots], y[dots])
        everything = [a[np.isfinite(a)] for a in (y, *band)]
        low = min((float(a.min()) for a in everything if a.size), default=np.nan)
        high = max((float(a.max()) for a in everything if a.size), default=np.nan)
        self._set_bounds(x[known], low, high)
        self._colour, self._style = palette.colour(curve.colour), curve.style
        self.update()

    def _is_fine(self) -> bool:
        """Whether the screen has several pixels to one."""
        views = self.scene().views() if self.scene() else []
        return bool(views) and views[0].devicePixelRatioF() >= _FINE

    @staticmethod
    def _make_band(x: np.ndarray, band: list[np.ndarray]) -> PrimitiveArray | None:
        if len(band) != 2 or len(x) < 2 or not np.any(band[1] > band[0]):
            return None
        # A point stands at the end of the steps that it stands for.
        left = np.concatenate([[2 * x[0] - x[1]], x[:-1]])
        return _tiles(left, x, *band)

    def paint(self, painter: QPainter, *_: Any) -> None:
        ratio = painter.device().devicePixelRatio()
        if self._band is not None:
            _fill_see_through(painter, self._band, self._bounds, brush(self._colour, _BAND_ALPHA))
        if ratio >= _FINE and self._style == "solid" and self._segments:
            painter.setPen(pen(self._colour, "solid", round(ratio)))
            for pieces in self._segments:
                painter.drawLines(*pieces.drawargs())
        else:
            painter.setPen(pen(self._colour, self._style))
            for line in self._lines:
                painter.drawPolyline(line)
        if not self._dots.isEmpty():
            painter.setPen(pen(self._colour, "solid", round(_DOT * ratio)))
            painter.drawPoints(self._dots)


class StackItem(_Item):
    """Bands on top of each other."""

    def __init__(self) -> None:
        super().__init__()
        self._areas: list[tuple[PrimitiveArray, QBrush]] = []

    def show_layer(self, stack: Stack, log: bool, palette: Palette) -> None:
        """Take on new data; a stack has no meaning on a log axis, so `log` changes nothing."""
        x = np.asarray(stack.x, dtype=np.float64)
        tops = np.cumsum(np.nan_to_num(np.asarray(stack.values, dtype=np.float64)), axis=1)
        below = np.zeros(len(x))
        self._areas = []
        for i, area in enumerate(stack.areas):
            top = tops[:, i]
            if len(x) > 1 and np.any(top > below):
                tiles = _tiles(x[:-1], x[1:], below[:-1], top[:-1])
                self._areas.append((tiles, brush(palette.colour(area.colour))))
            below = top
        self._set_bounds(x, 0.0, float(tops.max(initial=0.0)))
        self.update()

    def paint(self, painter: QPainter, *_: Any) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        for tiles, filling in self._areas:
            painter.setBrush(filling)
            painter.drawRects(*tiles.drawargs())


class HeatMapItem(pg.ImageItem):
    """A heat map as ready colours (8 bit, RGBA): nothing is looked up again when it is painted; NaN is see-through."""

    def __init__(self) -> None:
        super().__init__(axisOrder="row-major")

    def show_layer(self, heat: HeatMap, log: bool, palette: Palette) -> None:
        """Take on new data; the heat map has a log scale of its own, so `log` changes nothing."""
        values = log10(heat.values) if heat.log else np.asarray(heat.values, dtype=np.float64)
        table = colour_table(heat.colour_map, palette.dark)
        alpha = np.where(np.isfinite(values), 255, 0).astype(np.uint8)
        image = np.dstack([table[indices(values, *colour_limits(heat))], alpha])
        self.setImage(np.ascontiguousarray(image), autoLevels=False, levels=None, lut=None)
        self.setRect(QRectF(heat.x_low, -0.5, max(heat.x_high - heat.x_low, 1e-9), max(1, len(values))))
