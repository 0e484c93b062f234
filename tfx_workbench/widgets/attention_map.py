"""One attention map, large: queries down, keys across, tokens at both axes as soon as there is room to read them.

Mouse: hovering reads a weight off, the wheel zooms about it, dragging moves, a double click shows everything.
Keyboard: + and - zoom, arrows move, Home shows everything.
"""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QHideEvent,
    QImage,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QSizePolicy, QWidget

from tfx_workbench.exhibits.exhibit import Images
from tfx_workbench.exhibits.format import number
from tfx_workbench.exhibits.palette import DARK, Palette
from tfx_workbench.exhibits.ticks import nice_step
from tfx_workbench.widgets.attention_images import picture
from tfx_workbench.widgets.hover_box import HoverBox

_LEGIBLE = 10.0  # px of a token, from which on its text is written
_LABEL = 34.0  # px beside the map for tokens
_NUMBERS = 22.0  # px beside the map for numbers
_LONGEST = 5  # characters of a token
_FEWEST = 4  # tokens that zooming in leaves
_ZOOM = 0.8
_RIGHT = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class AttentionMap(QWidget):
    """Shows `Images.large`; the part that is shown stays when another head or step comes."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._images: Images | None = None
        self._image: QImage | None = None
        self._colours = DARK
        self._shown = QRectF(0, 0, 1, 1)  # keys x queries that are shown, in parts of the whole
        self._dragged: QPointF | None = None
        self._hover = HoverBox(self)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName(self.tr("Attention map of the chosen head"))

    def apply_theme(self, palette: Palette) -> None:
        """Take on these colours."""
        self._colours = palette
        self._hover.apply_theme(palette)
        if self._images is not None:
            self.show_images(self._images)

    def show_images(self, images: Images) -> None:
        """Take on another map."""
        self._images = images
        self._image = picture(images.large, self._colours.dark)
        self.update()

    @property
    def hover(self) -> HoverBox:
        """The box with the weight under the mouse."""
        return self._hover

    def minimumSizeHint(self) -> QSize:
        return QSize(90, 90)

    def sizeHint(self) -> QSize:
        return QSize(160, 160)

    # ------------------------------------------------------------------ geometry

    def _token_px(self, side: float) -> float:
        if self._images is None:
            return 0.0
        tokens = self._images.large.shape[1] * self._images.large_pool
        return side / max(1.0, tokens * self._shown.width())

    def _has_labels(self) -> bool:
        side = min(self.width(), self.height()) - _LABEL
        return self._images is not None and bool(self._images.tokens) and self._token_px(side) >= _LEGIBLE

    def map_rect(self) -> QRectF:
        """Where the map is painted: a square, as large as there is room."""
        margin = _LABEL if self._has_labels() else _NUMBERS
        side = max(1.0, min(self.width() - margin - 2, self.height() - margin - 2))
        return QRectF(margin, 1, side, side)

    def _weight_at(self, place: QPointF) -> tuple[int, int] | None:
        """Row and column of the weight at a place in this widget's pixels."""
        box = self.map_rect()
        if self._images is None or not box.contains(place):
            return None
        rows, columns = self._images.large.shape
        x = self._shown.x() + (place.x() - box.x()) / box.width() * self._shown.width()
        y = self._shown.y() + (place.y() - box.y()) / box.height() * self._shown.height()
        return min(rows - 1, int(y * rows)), min(columns - 1, int(x * columns))

    def _show_part(self, part: QRectF) -> None:
        count = self._images.large.shape[1] * self._images.large_pool if self._images is not None else 1
        side = min(1.0, max(part.width(), min(1.0, _FEWEST / count)))
        x = min(max(0.0, part.x()), 1.0 - side)
        y = min(max(0.0, part.y()), 1.0 - side)
        self._shown = QRectF(x, y, side, side)
        self.update()

    def zoom(self, factor: float, about: QPointF | None = None) -> None:
        """Show `factor` of the part that is shown, about a place in parts of that part (its middle)."""
        at = about or QPointF(0.5, 0.5)
        part = self._shown
        side = part.width() * factor
        self._show_part(QRectF(
            part.x() + at.x() * (part.width() - side), part.y() + at.y() * (part.height() - side), side, side,
        ))

    # ------------------------------------------------------------------ painting

    def paintEvent(self, event: QPaintEvent) -> None:
        if self._images is None or self._image is None:
            return
        with QPainter(self) as painter:
            box = self.map_rect()
            rows, columns = self._images.large.shape
            part = self._shown
            source = QRectF(part.x() * columns, part.y() * rows, part.width() * columns, part.height() * rows)
            fine = box.width() < source.width()
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, fine)
            painter.drawImage(box, self._image, source)
            painter.setPen(QColor(self._colours.line))
            painter.drawRect(box)
            font = QFont(self.font())
            font.setPointSizeF(max(7.0, font.pointSizeF() - 1))
            painter.setFont(font)
            painter.setPen(QColor(self._colours.muted))
            self._paint_labels(painter, box) if self._has_labels() else self._paint_numbers(painter, box)

    def _visible_tokens(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """First and last token of the keys, and of the queries, that are shown."""
        assert self._images is not None
        count = self._images.large.shape[1] * self._images.large_pool
        part = self._shown
        return (part.left() * count, part.right() * count), (part.top() * count, part.bottom() * count)

    def _paint_numbers(self, painter: QPainter, box: QRectF) -> None:
        metrics = QFontMetricsF(painter.font())
        (left, right), (top, bottom) = self._visible_tokens()
        step = nice_step(right - left, max(2.0, box.width() / 36), whole=True)
        for value in np.arange(math.ceil(left / step), math.floor(right / step) + 1) * step:
            x = box.x() + (value - left) / (right - left) * box.width()
            width = metrics.horizontalAdvance(f"{value:.0f}")
            place = QRectF(min(max(box.x() - 4, x - width / 2), box.right() - width), box.bottom() + 3, width + 2, 14)
            painter.drawText(place, Qt.AlignmentFlag.AlignCenter, f"{value:.0f}")
        for value in np.arange(math.ceil(top / step), math.floor(bottom / step) + 1) * step:
            y = box.y() + (value - top) / (bottom - top) * box.height()
            y = min(max(box.y() + 6, y), box.bottom() - 5)
            painter.drawText(QRectF(0, y - 7, box.x() - 4, 14), _RIGHT, f"{value:.0f}")

    def _paint_labels(self, painter: QPainter, box: QRectF) -> None:
        assert self._images is not None
        tokens = self._images.tokens
        (left, right), (top, bottom) = self._visible_tokens()
        cell = box.width() / (right - left)
        for i in _middles(top, bottom, len(tokens)):
            y = box.y() + (i + 0.5 - top) * cell
            painter.drawText(QRectF(0, y - 7, box.x() - 4, 14), _RIGHT, written(tokens[i]))
        for i in _middles(left, right, len(tokens)):
            painter.save()
            painter.translate(box.x() + (i + 0.5 - left) * cell, box.bottom() + 4)
            painter.rotate(90)
            painter.drawText(QRectF(0, -7, _LABEL - 4, 14), Qt.AlignmentFlag.AlignVCenter, written(tokens[i]))
            painter.restore()

    # ------------------------------------------------------------------ mouse and keyboard

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        place = event.position()
        if self._dragged is not None and event.buttons() & Qt.MouseButton.LeftButton:
            moved = (self._dragged - place) * (self._shown.width() / self.map_rect().width())
            self._dragged = place
            self._show_part(self._shown.translated(moved))
        self.hover_at(place)

    def hover_at(self, place: QPointF) -> None:
        """Read off the weight at a place in this widget's pixels."""
        found = self._weight_at(place)
        if found is None or self._images is None:
            self._hover.hide()
            return
        pool = self._images.large_pool
        query, key = (self._named(i, pool) for i in found)
        weight = number(float(self._images.large[found]), 3)
        name = self.tr("weight") if pool == 1 else self.tr("mean weight")
        rows = [("", self.tr("query"), query), ("", self.tr("key"), key)]
        self._hover.show_at(place.toPoint(), f"{name} {weight}", rows)

    def _named(self, index: int, pool: int) -> str:
        first = index * pool
        tokens = "".join(written(t) for t in self._images.tokens[first : first + pool]) if self._images else ""
        numbers = f"{first}" if pool == 1 else f"{first}–{first + pool - 1}"
        return f"{numbers}  “{tokens}”" if tokens else numbers

    def mousePressEvent(self, event: QMouseEvent) -> None:
        self._dragged = event.position()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        self._dragged = None

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        self._show_part(QRectF(0, 0, 1, 1))

    def hideEvent(self, event: QHideEvent) -> None:
        self._hover.hide()
        super().hideEvent(event)

    def leaveEvent(self, event: QEvent) -> None:
        self._hover.hide()

    def wheelEvent(self, event: QWheelEvent) -> None:
        box = self.map_rect()
        at = QPointF((event.position().x() - box.x()) / box.width(), (event.position().y() - box.y()) / box.height())
        self.zoom(_ZOOM if event.angleDelta().y() > 0 else 1 / _ZOOM, at)
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        step = self._shown.width() / 5
        moves = {
            Qt.Key.Key_Left: (-step, 0.0), Qt.Key.Key_Right: (step, 0.0), Qt.Key.Key_Up: (0.0, -step),
            Qt.Key.Key_Down: (0.0, step),
        }
        match event.key():
            case Qt.Key.Key_Plus | Qt.Key.Key_Equal:
                self.zoom(_ZOOM)
            case Qt.Key.Key_Minus:
                self.zoom(1 / _ZOOM)
            case Qt.Key.Key_Home:
                self._show_part(QRectF(0, 0, 1, 1))
            case key if Qt.Key(key) in moves:
                self._show_part(self._shown.translated(*moves[Qt.Key(key)]))
            case _:
                super().keyPressEvent(event)


def _middles(low: float, high: float, count: int) -> range:
    """The tokens of `count` whose middle lies between `low` and `high`."""
    return range(max(0, math.ceil(low - 0.5)), min(count, math.floor(high - 0.5) + 1))


def written(token: str) -> str:
    """A token in a few characters, with what cannot be seen made visible."""
    visible = token.replace("\n", "↵").replace("\t", "⇥").replace(" ", "␣")
    visible = "".join(c if c.isprintable() else "·" for c in visible)
    return visible if len(visible) <= _LONGEST else visible[: _LONGEST - 1] + "…"
