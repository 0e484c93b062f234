"""Drawings and texts by QPainter: for PDF, where fonts are embedded and lines stay lines, and for PNG.

Everything outside is in points. A font that is scaled by the painter has the rounded letters of its small size, so
places and fonts are multiplied here instead.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Iterable

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import (
    QBrush,
    QColor,
    QFont,
    QFontDatabase,
    QFontMetricsF,
    QGuiApplication,
    QImage,
    QPainter,
    QPen,
    QPolygonF,
    QTextLayout,
)

from tfx_workbench.exhibits.palette import LIGHT, Palette
from tfx_workbench.report.axes import Said, Style
from tfx_workbench.report.drawing import (
    AnyShape,
    Area,
    Box,
    Clip,
    Dot,
    Drawing,
    Floats,
    Label,
    Picture,
    Reading,
    Shape,
    Stroke,
)
from tfx_workbench.report.lettering import harmless

_FAMILIES = ("Inter", "Source Sans 3", "Noto Sans", "Helvetica Neue", "Segoe UI", "Liberation Sans", "Arial",
             "DejaVu Sans")
_MONO = ("JetBrains Mono", "Source Code Pro", "Noto Sans Mono", "SF Mono", "Menlo", "Consolas", "DejaVu Sans Mono")
_DASHES = {"dashed": (5.0, 3.0), "dotted": (1.5, 2.5)}  # points
_MEASURED_AT = 16  # device units to a point at which widths are measured


def ensure_application() -> QGuiApplication:
    """Fonts need an application; without a display one that shows nothing."""
    found = QGuiApplication.instance()
    if isinstance(found, QGuiApplication):
        return found
    if sys.platform.startswith("linux"):  # nothing is shown: no display is asked for
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    return _application()


@functools.cache
def _application() -> QGuiApplication:
    """Kept: Qt ends with its application."""
    return QGuiApplication(["tfx-workbench"])


@functools.cache
def _families() -> tuple[list[str], list[str]]:
    """Proportional and fixed-width families that are there, the best first."""
    there = set(QFontDatabase.families())
    general = QFontDatabase.systemFont(QFontDatabase.SystemFont.GeneralFont).family()
    fixed = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont).family()
    return ([f for f in _FAMILIES if f in there] or [general], [f for f in _MONO if f in there] or [fixed])


@functools.lru_cache(maxsize=256)
def font(size: float, scale: float, bold: bool = False, mono: bool = False) -> QFont:
    """A font of `size` points where a point is `scale` device units."""
    made = QFont()
    made.setFamilies(_families()[1 if mono else 0])
    made.setPixelSize(max(1, round(size * scale)))
    made.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    made.setWeight(QFont.Weight.DemiBold if bold else QFont.Weight.Normal)
    return made


def measure(text: str, size: float, bold: bool = False) -> float:
    """The true width of a text in points."""
    return QFontMetricsF(font(size, _MEASURED_AT, bold)).horizontalAdvance(text) / _MEASURED_AT


def style(said: Said = str) -> Style:
    """How figures are made that Qt paints."""
    return Style(said, measure)


class Canvas:
    """A painter in points."""

    def __init__(self, painter: QPainter, scale: float, palette: Palette = LIGHT) -> None:
        self.painter, self.scale, self.palette = painter, scale, palette
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)

    def draw(self, drawing: Drawing, x: float = 0.0, y: float = 0.0, zoom: float = 1.0) -> None:
        """Paint a drawing with its corner at (x, y) points, `zoom` times as large."""
        before = self.scale
        self.painter.save()
        self.painter.translate(x * before, y * before)
        self.scale = before * zoom
        for shape in drawing.shapes:
            self._shape(shape)
        self.scale = before
        self.painter.restore()

    def text(self, layout: QTextLayout, x: float, y: float, colour: str) -> None:
        """Lines that are laid out already, in device units, with their corner at (x, y) points."""
        self.painter.setPen(self._colour(colour))
        layout.draw(self.painter, QPointF(x * self.scale, y * self.scale))

    def fill(self, box: Box, colour: str, opacity: float = 1.0) -> None:
        """A filled rectangle."""
        self._shape(Area(box, colour, opacity))

    def line(self, x0: float, y0: float, x1: float, y1: float, colour: str, width: float = 0.5) -> None:
        """A straight line."""
        self._shape(Stroke(np.array([[x0, y0], [x1, y1]]), colour, width))

    # ------------------------------------------------------------------ shapes

    def _shape(self, shape: AnyShape) -> None:
        match shape:
            case Area(hollow=True):
                self.painter.setPen(QPen(self._colour(shape.fill), self.scale))
                self.painter.setBrush(Qt.BrushStyle.NoBrush)
                self.painter.drawRect(self._rect(shape.box))
            case Area():
                self.painter.fillRect(self._rect(shape.box), self._brush(shape.fill, shape.opacity))
            case Stroke():
                self._stroke(shape)
            case Shape():
                self.painter.setPen(Qt.PenStyle.NoPen)
                self.painter.setBrush(self._brush(shape.fill, shape.opacity))
                self.painter.drawPolygon(self._polygon(shape.points))
            case Dot():
                ring = QPen(self._colour(shape.fill), 1.5 * self.scale)
                self.painter.setPen(ring if shape.hollow else QPen(Qt.PenStyle.NoPen))
                self.painter.setBrush(QBrush() if shape.hollow else self._brush(shape.fill))
                radius = shape.radius * self.scale
                self.painter.drawEllipse(QPointF(shape.x * self.scale, shape.y * self.scale), radius, radius)
            case Label():
                self._label(shape)
            case Picture():
                self._picture(shape)
            case Clip():
                self.painter.save()
                self.painter.setClipRect(self._rect(shape.box))
                for inner in shape.shapes:
                    self._shape(inner)
                self.painter.restore()
            case Reading():
                pass  # for a mouse

    def _stroke(self, shape: Stroke) -> None:
        pen = QPen(self._colour(shape.colour), shape.width * self.scale)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        if dashes := _DASHES.get(shape.style):
            pen.setDashPattern([part / shape.width for part in dashes])
        self.painter.setPen(pen)
        self.painter.setBrush(Qt.BrushStyle.NoBrush)
        self.painter.drawPolyline(self._polygon(shape.points))

    def _label(self, shape: Label) -> None:
        text = harmless(shape.text)
        made = font(shape.size, self.scale, shape.bold)
        self.painter.setFont(made)
        self.painter.setPen(self._colour(shape.colour))
        width = QFontMetricsF(made).horizontalAdvance(text)
        shift = {"start": 0.0, "middle": width / 2, "end": width}[shape.anchor]
        self.painter.save()
        self.painter.translate(shape.x * self.scale, shape.y * self.scale)
        if shape.upright:
            self.painter.rotate(-90)
        self.painter.drawText(QPointF(-shift, 0.0), text)
        self.painter.restore()

    def _picture(self, shape: Picture) -> None:
        pixels = shape.dark if self.palette.dark and shape.dark is not None else shape.pixels
        rows, columns, _ = pixels.shape
        image = QImage(pixels.data, columns, rows, 4 * columns, QImage.Format.Format_RGBA8888)
        # PDF readers smooth what they enlarge: a pixel is made a square of its own.
        grown = image.scaled(columns * _grow(columns), rows * _grow(rows))
        self.painter.drawImage(self._rect(shape.box), grown)

    # ------------------------------------------------------------------ conversions

    def _colour(self, name: str) -> QColor:
        return QColor(self.palette.colour(name))

    def _brush(self, name: str, opacity: float = 1.0) -> QBrush:
        colour = self._colour(name)
        colour.setAlphaF(opacity)
        return QBrush(colour)

    def _rect(self, box: Box) -> QRectF:
        k = self.scale
        return QRectF(box.x * k, box.y * k, max(box.width, 0.0) * k, max(box.height, 0.0) * k)

    def _polygon(self, points: Floats) -> QPolygonF:
        return QPolygonF([QPointF(x, y) for x, y in (np.asarray(points) * self.scale).tolist()])


def _grow(count: int) -> int:
    """How many times each pixel is repeated, so that a picture has some 800 of them along a side."""
    return max(1, min(24, 800 // max(1, count)))


def without_glyph(texts: Iterable[str]) -> str:
    """The letters for which no font of this machine has a shape."""
    letters = sorted({letter for text in texts for letter in text if ord(letter) > 0x2AF and not letter.isspace()})
    return "".join(letter for letter in letters if _is_missing(letter))


def _is_missing(letter: str) -> bool:
    layout = QTextLayout(letter, font(10, _MEASURED_AT))
    layout.beginLayout()
    layout.createLine()
    layout.endLayout()
    return any(0 in run.glyphIndexes() for run in layout.glyphRuns())
