"""The legend in the card: colours and what they stand for, or the colours of a heat map with their limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPen, QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from tfx_workbench.exhibits.colour_maps import colour_table
from tfx_workbench.exhibits.exhibit import ColourMap
from tfx_workbench.exhibits.palette import DARK, Palette
from tfx_workbench.widgets.words import plain_tip

_SWATCH, _STROKE, _GAP, _LINE = 9, 14, 5, 16  # px
_BETWEEN = 12
_COUNT = 24  # px for "+3" at the end of the last line
_WIDEST = 180  # px of one label
_STYLES = {"solid": Qt.PenStyle.SolidLine, "dashed": Qt.PenStyle.DashLine, "dotted": Qt.PenStyle.DotLine}


@dataclasses.dataclass(frozen=True)
class Entry:
    """One colour, in words of the user's language."""

    label: str
    colour: str
    style: str = "solid"  # or dashed, dotted, area, outline


@dataclasses.dataclass(frozen=True)
class Scale:
    """The colours of a heat map between two numbers."""

    low: str
    high: str
    label: str
    colour_map: ColourMap


class LegendBar(QWidget):
    """Lines of entries, as many as fit two lines; how many more there are stands last, and the tool tip names them."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._entries: tuple[Entry, ...] = ()
        self._scale: Scale | None = None
        self._colours = DARK
        self._max_lines = 2
        self._places: list[tuple[int, int, Entry, str]] = []
        font = self.font()
        font.setPointSizeF(max(7.0, font.pointSizeF() - 1))
        self.setFont(font)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def apply_theme(self, palette: Palette) -> None:
        """Take on these colours."""
        self._colours = palette
        self.update()

    def set_max_lines(self, lines: int) -> None:
        """How many lines it may take."""
        if lines != self._max_lines:
            self._max_lines = lines
            self._arrange()
            self.updateGeometry()
            self.update()

    def show_legend(self, entries: Sequence[Entry], scale: Scale | None = None) -> None:
        """Show these entries, or the colour scale where one is given."""
        if tuple(entries) == self._entries and scale == self._scale:
            return
        self._entries, self._scale = tuple(entries), scale
        self._arrange()
        self.setVisible(bool(self._entries) or scale is not None)
        self.updateGeometry()
        self.update()

    # ------------------------------------------------------------------ layout

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        lines = 1 if self._scale else len({line for line, *_ in self._placed(width)[0]})
        return lines * _LINE

    def sizeHint(self) -> QSize:
        return QSize(120, self.heightForWidth(max(self.width(), 120)))

    def minimumSizeHint(self) -> QSize:
        return QSize(60, self.sizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._arrange()
        super().resizeEvent(event)

    def _arrange(self) -> None:
        self._places, hidden = self._placed(self.width())
        self.setToolTip(plain_tip(*(e.label for e in self._entries)) if hidden else "")

    def _placed(self, width: int) -> tuple[list[tuple[int, int, Entry, str]], int]:
        """(line, x, entry, words) of every entry that fits, and how many do not."""
        metrics = self.fontMetrics()
        places: list[tuple[int, int, Entry, str]] = []
        line = x = 0
        for i, entry in enumerate(self._entries):
            text = metrics.elidedText(entry.label, Qt.TextElideMode.ElideRight, min(_WIDEST, max(40, width - 30)))
            needed = _mark(entry) + _GAP + metrics.horizontalAdvance(text)
            is_last_line = line == self._max_lines - 1
            room = width - (_COUNT if is_last_line and i < len(self._entries) - 1 else 0)
            if x and x + needed > room:
                line, x = line + 1, 0
            if line == self._max_lines:
                return places, len(self._entries) - i
            places.append((line, x, entry, text))
            x += needed + _BETWEEN
        return places, 0

    # ------------------------------------------------------------------ painting

    def paintEvent(self, event: QPaintEvent) -> None:
        with QPainter(self) as painter:
            painter.setFont(self.font())
            if self._scale is not None:
                self._paint_scale(painter, self._scale)
            else:
                for line, x, entry, text in self._places:
                    self._paint_entry(painter, line, x, entry, text)
                left = len(self._entries) - len(self._places)
                if left:
                    painter.setPen(QColor(self._colours.muted))
                    box = QRectF(0, (self._max_lines - 1) * _LINE, self.width(), _LINE)
                    painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, f"+{left}")

    def _paint_entry(self, painter: QPainter, line: int, x: int, entry: Entry, text: str) -> None:
        colour = QColor(self._colours.colour(entry.colour))
        middle = line * _LINE + _LINE / 2
        swatch = QRectF(x, middle - _SWATCH / 2, _SWATCH, _SWATCH)
        if entry.style == "area":
            painter.fillRect(swatch, colour)
        elif entry.style == "outline":
            painter.setPen(QPen(colour, 1))
            painter.drawRect(swatch.toRect().adjusted(0, 0, -1, -1))
        else:
            painter.setPen(QPen(colour, 2, _STYLES[entry.style]))
            painter.drawLine(QPointF(x, middle), QPointF(x + _STROKE, middle))
        painter.setPen(QColor(self._colours.muted))
        box = QRectF(x + _mark(entry) + _GAP, line * _LINE, self.width(), _LINE)
        painter.drawText(box, Qt.AlignmentFlag.AlignVCenter, text)

    def _paint_scale(self, painter: QPainter, scale: Scale) -> None:
        metrics = self.fontMetrics()
        low, high = metrics.horizontalAdvance(scale.low), metrics.horizontalAdvance(scale.high)
        bar = max(40, min(120, self.width() // 4))
        table = colour_table(scale.colour_map, self._colours.dark)
        image = QImage(table.tobytes(), 256, 1, 768, QImage.Format.Format_RGB888).copy()
        middle = _LINE / 2
        painter.setPen(QColor(self._colours.muted))
        align = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(0, 0, low, _LINE), align, scale.low)
        painter.drawImage(QRectF(low + _GAP, middle - 4, bar, 8), image)
        x = low + bar + 2 * _GAP
        painter.drawText(QRectF(x, 0, high, _LINE), align, scale.high)
        x += high + _BETWEEN
        room = max(0, self.width() - x)
        label = metrics.elidedText(scale.label, Qt.TextElideMode.ElideRight, room)
        painter.drawText(QRectF(x, 0, room, _LINE), align, label)


def _mark(entry: Entry) -> int:
    return _SWATCH if entry.style in ("area", "outline") else _STROKE
