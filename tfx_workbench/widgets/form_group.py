"""A group of the form: a heading that folds it, the members that everybody needs, and the others behind "more"."""

from __future__ import annotations

from collections.abc import Mapping

from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget


class FormGroup(QWidget):
    """Emits `arranged()` when it was folded or unfolded, or when more or less of it is to be shown."""

    arranged = Signal()

    def __init__(self, key: str, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.key, self._title = key, title
        self.members: list[QWidget] = []
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(8)
        self.head = QPushButton(self)
        self.head.setObjectName("groupTitle")
        self.head.setCheckable(True)
        self.head.setChecked(True)
        self.head.clicked.connect(self._on_arranged)
        self._note = QLabel(self)
        self._note.setObjectName("muted")
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.head)
        row.addStretch(1)
        row.addWidget(self._note)
        self._column.addLayout(row)
        self.more = _ElidedButton(self)
        self.more.setObjectName("fold")
        self.more.setCheckable(True)
        self.more.clicked.connect(self._on_arranged)
        self._column.addWidget(self.more)
        self._say_title()

    def add(self, member: QWidget) -> None:
        """Put a member after the others."""
        self.members.append(member)
        self._column.insertWidget(self._column.count() - 1, member)

    @property
    def is_folded(self) -> bool:
        """Whether only what must be seen is shown."""
        return not self.head.isChecked()

    @property
    def shows_more(self) -> bool:
        """Whether the members that few need are shown as well."""
        return self.more.isChecked()

    def set_arranged(self, *, folded: bool, more: bool) -> None:
        """Fold it, and show more or less of it, without a signal."""
        self.head.setChecked(not folded)
        self.more.setChecked(more)
        self._say_title()

    def show_members(self, shown: Mapping[QWidget, bool], held: Mapping[QWidget, str]) -> None:
        """Show these members; `held` are those that wait behind "more", with their titles. An empty group is hidden."""
        for member in self.members:
            if member.isHidden() == shown[member]:
                member.setVisible(shown[member])
        hidden = sum(not on for on in shown.values())
        folded = self.is_folded and hidden and len(self.members) > 2  # of slots; one form says nothing by its number
        self._note.setText(self.tr("{count} folded").format(count=hidden) if folded else "")
        names = ", ".join(held.values())
        if self.shows_more:
            self.more.set_words(self.tr("less"), names)
        else:
            self.more.set_words(self.tr("+ {count} more: {names}").format(count=len(held), names=names), names)
        self.more.setVisible(bool(held))

    def _on_arranged(self) -> None:
        self._say_title()
        self.arranged.emit()

    def _say_title(self) -> None:
        arrow = "▸" if self.is_folded else "▾"
        self.head.setText(f"{arrow}  {self._title.upper()}".replace("&", "&&"))
        words = self.tr("{group}, folded") if self.is_folded else self.tr("{group}, unfolded")
        self.head.setAccessibleName(words.format(group=self._title))


class _ElidedButton(QPushButton):
    """A flat button over the whole width, whose words are cut where there is no room."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._words = ""
        self.setFixedHeight(20)
        self.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)

    def set_words(self, words: str, tip: str) -> None:
        self._words = words
        self.setAccessibleName(words)
        self.setToolTip(tip)
        self._cut()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._cut()

    def _cut(self) -> None:
        room = max(0, self.width() - 4)
        text = self.fontMetrics().elidedText(self._words, Qt.TextElideMode.ElideRight, room).replace("&", "&&")
        if text != self.text():
            self.setText(text)

    def minimumSizeHint(self) -> QSize:
        return QSize(40, self.height())

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance(self._words) + 12, self.height())
