"""How the cells of the runs table are painted: tick and colour, progress, differences that are better or worse."""

from __future__ import annotations

from PySide6.QtCore import (
    QAbstractItemModel,
    QEvent,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    QPointF,
    QRectF,
    QSize,
    Qt,
)
from PySide6.QtGui import QColor, QFontMetrics, QPainter, QPen
from PySide6.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

from tfx_workbench.analysis.statistics import Effect
from tfx_workbench.exhibits.palette import LIGHT, Palette
from tfx_workbench.widgets.arranging import Entry, GroupHead
from tfx_workbench.widgets.run_model import AUDIT_ROLE, LINE_ROLE
from tfx_workbench.widgets.run_row import RunRow
from tfx_workbench.widgets.run_words import Column

ROW_HEIGHT = 26
_BAR_WIDTH = 90
_BAR_SHORTEST = 24
_BAR_GAP = 8
_BAR_HEIGHT = 5
_BADGE_PADDING = 7
_CHECK = (QPointF(-3, 0), QPointF(-0.8, 2.4), QPointF(3.2, -2.6))  # a tick about its middle
_FOLDED = (QPointF(-2, -4), QPointF(2, 0), QPointF(-2, 4))  # about its middle
_UNFOLDED = (QPointF(-4, -2), QPointF(0, 2), QPointF(4, -2))
Index = QModelIndex | QPersistentModelIndex


class RunDelegate(QStyledItemDelegate):
    """Paints every cell itself, so that colours come from the palette of runs and nothing but it."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.palette: Palette = LIGHT

    def sizeHint(self, option: QStyleOptionViewItem, index: Index) -> QSize:
        return QSize(super().sizeHint(option, index).width() + 12, ROW_HEIGHT)

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        line: Entry = index.data(LINE_ROLE)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if isinstance(line, GroupHead):
            self._paint_head(painter, option, index, line)
            painter.restore()
            return
        self._paint_background(painter, option, index)
        rect = QRectF(option.rect).adjusted(8, 0, -8, 0)  # type: ignore[attr-defined]
        column = Column(index.column())
        if column == Column.TICK:
            self._paint_tick(painter, QRectF(option.rect), line)  # type: ignore[attr-defined]
        elif column == Column.STATUS and line.status == "running" and line.progress is not None:
            self._paint_progress(painter, rect, line, str(index.data() or ""))
        else:
            if column == Column.STATUS:
                self._paint_audit(painter, rect, line, str(index.data() or ""), str(index.data(AUDIT_ROLE) or ""))
            painter.setPen(QColor(self._ink(column, line)))
            flags = Qt.AlignmentFlag(index.data(Qt.ItemDataRole.TextAlignmentRole))
            words = _elided(painter, str(index.data() or ""), rect.width())
            painter.drawText(rect, flags, words)
            if column == Column.NAME and (line.tags or line.note):
                self._paint_tags(painter, rect, line, painter.fontMetrics().horizontalAdvance(words))
        painter.restore()

    def _paint_head(
        self, painter: QPainter, option: QStyleOptionViewItem, index: Index, head: GroupHead
    ) -> None:
        """A triangle that points to what is folded, and the name of the group."""
        rect = QRectF(option.rect)  # type: ignore[attr-defined]
        painter.fillRect(rect, QColor(self.palette.raised))
        painter.setPen(QPen(QColor(self.palette.muted), 1.4))
        middle = QPointF(rect.left() + 18, rect.center().y())
        corners = _FOLDED if head.folded else _UNFOLDED
        painter.drawPolyline([middle + corner for corner in corners])
        painter.setPen(QColor(self.palette.text))
        text = rect.adjusted(36, 0, -8, 0)
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(text, left, _elided(painter, str(index.data() or ""), text.width()))

    def _paint_background(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        state = option.state  # type: ignore[attr-defined]
        selected = bool(state & QStyle.StateFlag.State_Selected)
        hovered = bool(state & QStyle.StateFlag.State_MouseOver)
        if selected:
            colour = QColor(self.palette.accent)
            colour.setAlphaF(0.16)
            painter.fillRect(option.rect, colour)  # type: ignore[attr-defined]
        elif hovered:
            painter.fillRect(option.rect, QColor(self.palette.raised))  # type: ignore[attr-defined]
        if state & QStyle.StateFlag.State_HasFocus and index.column() == Column.NAME:
            painter.setPen(QPen(QColor(self.palette.accent), 1))
            painter.drawRoundedRect(QRectF(option.rect).adjusted(1.5, 2.5, -1.5, -2.5), 4, 4)  # type: ignore[attr-defined]

    def _ink(self, column: Column, line: RunRow) -> str:
        """The name of a colour is decided by what the figure means."""
        look = self.palette
        if column == Column.SPEED_EFFECT:
            return effect_colour(look, line.speed_effect, higher_is_better=True)
        if column == Column.MEMORY_EFFECT:
            return effect_colour(look, line.memory_effect, higher_is_better=False)
        if column == Column.STATUS:
            inks = {"failed": look.worse, "interrupted": look.warning, "finished": look.text}
            return inks.get(line.status, look.muted)
        if column == Column.NAME and not line.ticked:
            return look.muted
        return look.text

    def _paint_tick(self, painter: QPainter, rect: QRectF, line: RunRow) -> None:
        """A square in the run's colour where it is shown, an outline where it is not; a ring marks the baseline."""
        side = 12.0
        box = QRectF(rect.center().x() - side / 2, rect.center().y() - side / 2, side, side)
        colour = QColor(self.palette.colour(f"run:{line.colour}" if line.ticked else "muted"))
        painter.setPen(QPen(colour, 1.4))
        painter.setBrush(colour if line.ticked else Qt.BrushStyle.NoBrush)
        painter.drawRoundedRect(box, 3, 3)
        if line.ticked:
            painter.setPen(QPen(QColor(self.palette.card), 1.6))
            middle = box.center()
            painter.drawPolyline([middle + p for p in _CHECK])
        if line.is_baseline:
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(colour, 1.2))
            painter.drawRoundedRect(box.adjusted(-3, -3, 3, 3), 5, 5)

    def _paint_progress(self, painter: QPainter, rect: QRectF, line: RunRow, words: str) -> None:
        width = bar_width(painter.fontMetrics(), words, rect.width())
        groove = QRectF(rect.left(), rect.center().y() - _BAR_HEIGHT / 2, width, _BAR_HEIGHT)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(self.palette.line))
        painter.drawRoundedRect(groove, _BAR_HEIGHT / 2, _BAR_HEIGHT / 2)
        done = max(float(_BAR_HEIGHT), width * min(1.0, line.progress or 0.0))
        painter.setBrush(QColor(self.palette.warning if line.paused else self.palette.accent))
        painter.drawRoundedRect(QRectF(groove.topLeft(), groove.size()).adjusted(0, 0, done - width, 0), 2.5, 2.5)
        painter.setPen(QColor(self.palette.muted))
        text_rect = rect.adjusted(width + _BAR_GAP, 0, 0, 0)
        flags = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(text_rect, flags, _elided(painter, words, text_rect.width()))

    def _paint_audit(self, painter: QPainter, rect: QRectF, line: RunRow, status: str, words: str) -> None:
        """Behind the status: a red badge where a claim is broken, else a quiet word that all is well."""
        metrics = painter.fontMetrics()
        room = rect.adjusted(metrics.horizontalAdvance(status) + _BAR_GAP, 0, 0, 0)
        width = metrics.horizontalAdvance(words) + 2 * _BADGE_PADDING
        if not words or room.width() < width:
            words = "!" if line.claims_broken else ""  # red is never left out
            width = metrics.horizontalAdvance(words) + 2 * _BADGE_PADDING
        if not words:
            return
        middle = Qt.AlignmentFlag.AlignCenter if line.claims_broken else Qt.AlignmentFlag.AlignVCenter
        if line.claims_broken:
            height = metrics.height() + 2.0
            room = QRectF(room.left(), rect.center().y() - height / 2, min(width, room.width()), height)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(self.palette.worse))
            painter.drawRoundedRect(room, height / 2, height / 2)
        painter.setPen(QColor(self.palette.card if line.claims_broken else self.palette.muted))
        painter.drawText(room, middle, words)

    def _paint_tags(self, painter: QPainter, rect: QRectF, line: RunRow, taken: float) -> None:
        """Behind the name, as many tags as there is room for, and a mark where there is a note."""
        metrics = painter.fontMetrics()
        left, height = rect.left() + taken + _BAR_GAP, metrics.height() + 2.0
        for words in (*line.tags, *(["…"] if line.note else [])):
            width = metrics.horizontalAdvance(words) + 2.0 * _BADGE_PADDING
            if left + width > rect.right():
                return
            pill = QRectF(left, rect.center().y() - height / 2, width, height)
            painter.setBrush(QColor(self.palette.raised))
            painter.setPen(QPen(QColor(self.palette.line), 1))
            painter.drawRoundedRect(pill, height / 2, height / 2)
            painter.setPen(QColor(self.palette.muted))
            painter.drawText(pill, Qt.AlignmentFlag.AlignCenter, words)
            left += width + 4

    def editorEvent(self, event: QEvent, model: QAbstractItemModel, option: QStyleOptionViewItem, index: Index) -> bool:
        """A click on the tick column ticks, wherever in the cell it lands."""
        line: Entry = index.data(LINE_ROLE)
        if isinstance(line, GroupHead):
            return False  # a click folds it: the table sees to that
        if index.column() == Column.TICK and event.type() == QEvent.Type.MouseButtonRelease:
            state = Qt.CheckState.Unchecked if line.ticked else Qt.CheckState.Checked
            return model.setData(index, state, Qt.ItemDataRole.CheckStateRole)  # type: ignore[arg-type]
        if index.column() == Column.TICK and event.type() == QEvent.Type.MouseButtonDblClick:
            return True
        return super().editorEvent(event, model, option, index)


def _elided(painter: QPainter, text: str, width: float) -> str:
    return painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, int(width))


def bar_width(metrics: QFontMetrics, words: str, width: float) -> float:
    """The length of the progress bar in a cell of that width: it gives way before the words do."""
    spare = width - metrics.horizontalAdvance(words) - _BAR_GAP - 2  # two, as letters are not whole pixels wide
    return min(_BAR_WIDTH, max(_BAR_SHORTEST, spare))


def effect_colour(palette: Palette, effect: Effect | None, *, higher_is_better: bool) -> str:
    """Better and worse have their colours; what cannot be told apart is muted."""
    if effect is None or not effect.distinguishable or abs(effect.percent) < 0.05:
        return palette.muted
    return palette.better if (effect.percent > 0) == higher_is_better else palette.worse
