"""All choices of a toggle as a list, each with a line about it: what opens behind "…", or with the Down key.

Arrow keys move, Enter chooses, a letter goes to the next name that begins with it, F1 asks for the page, Escape leaves.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from PySide6.QtCore import QEvent, QModelIndex, QPersistentModelIndex, QPoint, QRect, QSize, Qt, Signal
from PySide6.QtGui import QFont, QFontMetrics, QGuiApplication, QKeyEvent, QPainter, QPalette
from PySide6.QtWidgets import (
    QFrame,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from tfx_workbench.widgets.words import plain_tip

_VALUE, _LINE, _FREE = Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 1, Qt.ItemDataRole.UserRole + 2
_MARK = 18  # px left of the words, for the mark of what is chosen
_MARGIN = 6
_WIDTH = 440
_MOST_ROWS = 12


@dataclasses.dataclass(frozen=True)
class Segment:
    """One choice: its value, the word on the toggle, and what hovering says (plain paragraphs)."""

    value: str
    word: str
    tip: tuple[str, ...] = ()
    name: str = ""  # the full name, for screen readers and the list
    line: str = ""  # what it is, in a line of the list


class ChoicePopup(QFrame):
    """Emits `chosen(value)` or `page_asked(value)`, and closes. Nothing that is blocked can be chosen."""

    chosen = Signal(str)
    page_asked = Signal(str)

    def __init__(self, label: str, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup)
        self.setObjectName("choicePopup")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAccessibleName(label)
        self.list = QListWidget(self)
        self.list.setAccessibleName(label)
        self.list.setItemDelegate(_TwoLines(self.list))
        self.list.setMouseTracking(True)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemEntered.connect(self.list.setCurrentItem)
        self.list.itemClicked.connect(self._choose)
        self.list.installEventFilter(self)
        box = QVBoxLayout(self)
        box.setContentsMargins(4, 4, 4, 4)
        box.addWidget(self.list)

    def show_choices(self, segments: Sequence[Segment], value: str, blocked: Mapping[str, str]) -> None:
        """List these; `value` is the one that is chosen now."""
        for segment in segments:
            reason = blocked.get(segment.value, "") if segment.value != value else ""
            item = QListWidgetItem(segment.name or segment.word, self.list)
            item.setData(_VALUE, segment.value)
            line = self.tr("Does not fit: {reason}").format(reason=reason) if reason else segment.line
            item.setData(_LINE, line)
            item.setData(_FREE, not reason)
            item.setToolTip(plain_tip(*((reason,) if reason else ()), *segment.tip))
            item.setData(Qt.ItemDataRole.AccessibleDescriptionRole, line)
            if segment.value == value:
                item.setCheckState(Qt.CheckState.Checked)
                self.list.setCurrentItem(item)

    def pop(self, below: QWidget) -> None:
        """Open under a widget, or above it where the screen ends."""
        rows = min(self.list.count(), _MOST_ROWS)
        size = QSize(max(below.width(), _WIDTH), rows * self.list.sizeHintForRow(0) + 10)
        corner = below.mapToGlobal(QPoint(0, below.height() + 2))
        screen = below.screen() or QGuiApplication.primaryScreen()
        room = screen.availableGeometry()
        size = size.boundedTo(room.size())
        if corner.y() + size.height() > room.bottom():
            above = below.mapToGlobal(QPoint(0, -2)).y() - size.height()
            corner.setY(max(room.top(), above))
        corner.setX(max(room.left(), min(corner.x(), room.right() - size.width())))
        self.setGeometry(QRect(corner, size))
        self.show()
        self.list.setFocus(Qt.FocusReason.PopupFocusReason)

    def _choose(self, item: QListWidgetItem | None) -> None:
        if item is not None and item.data(_FREE):
            self.close()
            self.chosen.emit(item.data(_VALUE))

    def eventFilter(self, watched, event) -> bool:  # type: ignore[no-untyped-def]
        if event.type() == QEvent.Type.ShortcutOverride and event.key() == Qt.Key.Key_F1:
            event.accept()  # else the window's own help opens
            return True
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            return self._on_key(Qt.Key(event.key()))
        return bool(super().eventFilter(watched, event))

    def _on_key(self, key: Qt.Key) -> bool:
        item = self.list.currentItem()
        if key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self._choose(item)
        elif key == Qt.Key.Key_Escape:
            self.close()
        elif key == Qt.Key.Key_F1 and item is not None:
            self.close()
            self.page_asked.emit(item.data(_VALUE))
        else:
            return False
        return True


class _TwoLines(QStyledItemDelegate):
    """The name, and under it in a quieter colour the line about it, or why it cannot be chosen."""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        return QSize(100, 2 * QFontMetrics(self._font()).height() + 10)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        palette = QGuiApplication.palette()  # the list's own has the style sheet's colours in the wrong places
        current = bool(option.state & QStyle.StateFlag.State_Selected)  # type: ignore[attr-defined]
        rect: QRect = option.rect  # type: ignore[attr-defined]
        free = bool(index.data(_FREE))
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if current:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(palette.color(QPalette.ColorRole.Button))
            painter.drawRoundedRect(rect.adjusted(0, 1, 0, -1), 5, 5)
        muted = palette.color(QPalette.ColorRole.PlaceholderText)
        checked = index.data(Qt.ItemDataRole.CheckStateRole) is not None
        font = self._font()
        line_height = QFontMetrics(font).height()
        words = rect.adjusted(_MARGIN + _MARK, 5, -_MARGIN, 0)
        if checked:
            painter.setPen(palette.color(QPalette.ColorRole.Highlight))
            painter.drawText(QRect(rect.left() + _MARGIN, rect.top() + 5, _MARK, line_height), 0, "✓")
        font.setWeight(QFont.Weight.DemiBold)
        painter.setFont(font)
        painter.setPen(palette.color(QPalette.ColorRole.Text) if free else muted)
        metrics = QFontMetrics(font)
        elide = Qt.TextElideMode.ElideRight
        painter.drawText(words, 0, metrics.elidedText(str(index.data()), elide, words.width()))
        painter.setFont(self._font())
        painter.setPen(muted)
        line = QFontMetrics(self._font()).elidedText(str(index.data(_LINE) or ""), elide, words.width())
        painter.drawText(words.translated(0, line_height), 0, line)
        painter.restore()

    def _list(self) -> QListWidget:
        parent = self.parent()
        assert isinstance(parent, QListWidget)
        return parent

    def _font(self) -> QFont:
        return QFont(self._list().font())
