"""The box beside the mouse: where it is, and the value of every layer there."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetrics, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from tfx_workbench.exhibits.palette import DARK, Palette

_PAD, _SWATCH, _GAP, _AWAY = 8, 8, 6, 14  # px
_MAX_ROWS = 12
_WIDEST = 170  # px of one label


class HoverBox(QWidget):
    """Lies over the owner's whole window, so that it need not cover the plot, and lets the mouse through."""

    def __init__(self, owner: QWidget) -> None:
        super().__init__(owner)
        self._owner = owner
        font = self.font()
        font.setPointSizeF(max(7.0, font.pointSizeF() - 1))
        self.setFont(font)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self._colours = DARK
        self._heading = ""
        self._rows: list[tuple[str, str, str]] = []
        self.hide()

    def apply_theme(self, palette: Palette) -> None:
        """Take on these colours."""
        self._colours = palette
        self.update()

    def lines(self) -> list[str]:
        """What the box says."""
        return [self._heading, *(f"{label} {value}" for _, label, value in self._rows)]

    def show_at(self, place: QPoint, heading: str, rows: list[tuple[str, str, str]]) -> None:
        """Show (colour or "", label, value) rows, plain text, beside `place` in the owner's pixels."""
        if self.parentWidget() is not self._owner.window():
            self.setParent(self._owner.window())
        self._heading = heading
        self._rows = rows[:_MAX_ROWS]
        if len(rows) > _MAX_ROWS:
            self._rows.append(("", f"+{len(rows) - _MAX_ROWS}", ""))
        self.setGeometry(self._placed(self._owner.mapTo(self._owner.window(), place)))
        self.show()
        self.raise_()
        self.update()

    def _metrics(self) -> tuple[int, int, int, int]:
        """Line height, width of labels, width of values, width of everything."""
        metrics = QFontMetrics(self.font())
        labels = max([min(_WIDEST, metrics.horizontalAdvance(label)) for _, label, _ in self._rows], default=0)
        values = max([metrics.horizontalAdvance(value) for *_, value in self._rows], default=0)
        rows = _SWATCH + _GAP + labels + 2 * _GAP + values
        return metrics.height() + 1, labels, values, max(rows, metrics.horizontalAdvance(self._heading)) + 2 * _PAD

    def _placed(self, place: QPoint) -> QRect:
        line, _, _, width = self._metrics()
        height = line * (len(self._rows) + 1) + _PAD
        around = self._owner.window().rect()
        x = place.x() + _AWAY
        if x + width > around.width():
            x = place.x() - _AWAY - width
        y = min(max(0, place.y() - height // 2), max(0, around.height() - height))
        return QRect(min(max(0, x), max(0, around.width() - width)), y, width, height)

    def paintEvent(self, event: QPaintEvent) -> None:
        colours = self._colours
        with QPainter(self) as painter:
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(QColor(colours.line), 1))
            painter.setBrush(QColor(colours.raised))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 6, 6)
            line, labels, _, width = self._metrics()
            y = _PAD // 2
            heading = QFont(self.font())
            painter.setFont(heading)
            painter.setPen(QColor(colours.muted))
            painter.drawText(QRect(_PAD, y, width - 2 * _PAD, line), Qt.AlignmentFlag.AlignVCenter, self._heading)
            for row in self._rows:
                y += line
                self._paint_row(painter, y, line, labels, row)

    def _paint_row(self, painter: QPainter, y: int, line: int, labels: int, row: tuple[str, str, str]) -> None:
        colour, label, value = row
        if colour:
            box = QRectF(_PAD, y + (line - _SWATCH) / 2, _SWATCH, _SWATCH)
            painter.fillRect(box, QColor(self._colours.colour(colour)))
        x = _PAD + _SWATCH + _GAP
        painter.setPen(QColor(self._colours.text))
        text = QFontMetrics(self.font()).elidedText(label, Qt.TextElideMode.ElideRight, _WIDEST)
        painter.drawText(QRect(x, y, labels, line), Qt.AlignmentFlag.AlignVCenter, text)
        right = QRect(x + labels, y, self.width() - x - labels - _PAD, line)
        painter.drawText(right, Qt.AlignmentFlag.AlignVCenter | Qt.AlignmentFlag.AlignRight, value)
