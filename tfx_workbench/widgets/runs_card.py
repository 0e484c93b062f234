"""The table of runs as a quiet card: title, search and groups left, right how many are shown and of how many."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError
from tfx_workbench.exhibits.kind import Choice
from tfx_workbench.runs.search import Query
from tfx_workbench.widgets.arranging import GROUPINGS
from tfx_workbench.widgets.card import ChoiceButton
from tfx_workbench.widgets.muted_label import muted_label
from tfx_workbench.widgets.run_table import RunTable
from tfx_workbench.widgets.words import plain_tip, shown

_PAUSE_MS = 150  # after a key, before a thousand runs are looked through
GROUPS = Choice("groups", tr_mark("group the runs"), (
    ("none", tr_mark("no groups")), ("comparison", tr_mark("by comparison")), ("status", tr_mark("by status")),
    ("tags", tr_mark("by tags")), ("device", tr_mark("by device")), ("day", tr_mark("by day")),
))
_FROM = 6  # runs from which on looking for them is worth its place


class RunsCard(QFrame):
    """Holds `table`; says that `grouped` changed, so that it can be kept."""

    grouped = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self.table = RunTable()
        self._total, self._words = 0, ""
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 8, 4, 4)
        column.setSpacing(2)
        title = QLabel(self.tr("Runs"))
        title.setObjectName("cardTitle")
        self.search = self._make_search()
        self.groups = ChoiceButton(GROUPS)
        self._found = muted_label()
        self._sentence = muted_label()
        head = QHBoxLayout()
        head.setContentsMargins(8, 0, 8, 0)
        head.setSpacing(8)
        for widget in (title, self.search, self.groups, self._found):
            head.addWidget(widget)
        head.addStretch(1)
        head.addWidget(self._sentence)
        column.addLayout(head)
        column.addWidget(self.table, 1)
        self.setMinimumHeight(120)
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.setInterval(_PAUSE_MS)
        self._wait.timeout.connect(self._look)
        self.search.textChanged.connect(lambda _: self._wait.start())
        self.groups.chosen.connect(lambda _, key: self.group_by(key))
        self._show_tools()

    def _make_search(self) -> QLineEdit:
        field = _SearchField()
        field.setPlaceholderText(self.tr("Find runs"))
        field.setAccessibleName(self.tr("Find runs"))
        field.setToolTip(plain_tip(
            self.tr("Words of name, note, tags, techniques or device; a minus turns one round; figures are compared."),
            'rotary tag:paper -status:failed loss<2 memory<4GiB speed>2k since:2026-11-01 "two words"'))
        field.setClearButtonEnabled(True)
        field.setMaximumWidth(300)
        field.left.connect(self.table.take_focus)
        return field


    # ------------------------------------------------------------------ showing

    def show_sentence(self, text: str, total: int) -> None:
        """Say the one thing that matters about the table, which has `total` runs."""
        self._sentence.setText(text)
        self._total = total
        self._show_found()
        self._show_tools()

    def group_by(self, grouping: str) -> None:
        """Put the runs together by comparison, status, tags, device or day; "" does not."""
        grouping = GROUPS.default if grouping not in GROUPINGS else grouping
        self.groups.show_option(grouping)
        self.table.arrange(grouping="" if grouping == GROUPS.default else grouping, folded=frozenset())
        self.grouped.emit(grouping)
        self._show_found()
        self._show_tools()

    def start_search(self) -> None:
        """Put the keyboard into the search."""
        self.search.show()
        self.search.setFocus(Qt.FocusReason.ShortcutFocusReason)
        self.search.selectAll()

    def _show_tools(self) -> None:
        """A handful of runs needs no tools to find one."""
        is_worth = self._total >= _FROM or bool(self.search.text()) or bool(self.table.model.arrangement.grouping)
        for widget in (self.search, self.groups):
            if widget.isHidden() == is_worth and not widget.hasFocus():
                widget.setVisible(is_worth)

    def _show_found(self) -> None:
        words = self._words
        if not words and self.table.model.arrangement.query is not None:
            words = self.tr("{found:,} found").format(found=self.table.model.shown)
        self._found.setText(words)
        self._found.setVisible(bool(words))

    def _look(self) -> None:
        """Show what the text finds; while it cannot be understood, what it found before, and why."""
        text = self.search.text()
        try:
            query = Query(text) if text.strip() else None
        except ConfigError as error:
            problem = error.problems[0]
            self._words = f"{problem.path}: {shown(problem.template).format_map(problem.shown_args)}"
            self._found.setToolTip(plain_tip(shown(problem.hint_template).format_map(problem.shown_args)))
            self._show_found()
            return
        self._words = ""
        self._found.setToolTip("")
        self.table.arrange(query=query)
        self._show_found()


class _SearchField(QLineEdit):
    """Escape empties it, then leaves it; Down and Enter go on to what was found."""

    left = Signal()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.matches(QKeySequence.StandardKey.Cancel) and self.text():
            self.clear()
        elif event.key() in (Qt.Key.Key_Escape, Qt.Key.Key_Down, Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self.left.emit()
        else:
            super().keyPressEvent(event)
