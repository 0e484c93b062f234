"""The table of runs: tick to overlay, sort, select several, and do with them what the context menu offers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from PySide6.QtCore import QItemSelectionModel, QModelIndex, QPoint, Qt, Signal
from PySide6.QtGui import QContextMenuEvent, QKeyEvent
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QLabel, QStackedLayout, QTableView, QWidget

from tfx_workbench.exhibits.palette import Palette
from tfx_workbench.widgets.delegates import ROW_HEIGHT, RunDelegate
from tfx_workbench.widgets.run_model import RunModel
from tfx_workbench.widgets.run_row import RunRow
from tfx_workbench.widgets.run_words import Column

# Widths at which nothing is cut, in px for text of 15 px; spare width is shared out in these proportions.
_WIDTHS = {
    Column.TICK: 36, Column.NAME: 130, Column.STATUS: 176, Column.SPEED: 118, Column.SPEED_EFFECT: 174,
    Column.MEMORY: 110, Column.MEMORY_EFFECT: 73, Column.LOSS: 58, Column.TRAINABLE: 72,
}
# Left out first where the window is narrow.
_SPARE = (Column.TRAINABLE, Column.LOSS, Column.MEMORY_EFFECT)


class RunTable(QWidget):
    """Emits what the user asks for; knows nothing of files and processes."""

    ticked = Signal(str, bool)
    all_ticked = Signal(list, bool)
    renamed = Signal(str, str)
    focused = Signal(str)
    menu_asked = Signal(list, QPoint)
    delete_asked = Signal(list)
    opened = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = RunModel(self)
        self.model.ticked.connect(self.ticked)
        self.model.renamed.connect(self.renamed)
        self.view = _View(self)
        self._delegate = RunDelegate(self.view)
        self._dress_view()
        self._empty = QLabel(self.tr("No runs yet. Choose a preset, press Run (F5), and watch it here."))
        self._empty.setObjectName("empty")
        self._empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._empty.setWordWrap(True)
        self._stack = QStackedLayout(self)
        self._stack.addWidget(self._empty)
        self._nothing = QLabel(self.tr("No run is found by that."))
        self._nothing.setObjectName("empty")
        self._nothing.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._stack.addWidget(self._nothing)
        self._stack.addWidget(self.view)

    def _dress_view(self) -> None:
        view = self.view
        view.setModel(self.model)
        view.setItemDelegate(self._delegate)
        view.setAccessibleName(self.tr("Runs"))
        view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        view.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        view.setEditTriggers(QAbstractItemView.EditTrigger.EditKeyPressed)
        view.setShowGrid(False)
        view.setSortingEnabled(True)
        view.setMouseTracking(True)
        view.setTabKeyNavigation(False)
        view.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        view.verticalHeader().hide()
        view.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        header = view.horizontalHeader()
        header.setHighlightSections(False)
        header.setSortIndicatorClearable(True)
        header.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        header.setMinimumSectionSize(32)
        header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.model.modelReset.connect(self._span_heads)
        view.clicked.connect(lambda index: self.model.toggle_group(index.row()))
        view.selectionModel().currentRowChanged.connect(self._on_current)
        view.menu_asked.connect(lambda position: self.menu_asked.emit(self.selected_keys(), position))
        view.delete_asked.connect(lambda: self.delete_asked.emit(self.selected_keys()))
        view.tick_asked.connect(self._toggle_selected)
        view.resized.connect(self._fit_columns)
        for opening in (view.doubleClicked, view.activated):
            opening.connect(self._open)

    # ------------------------------------------------------------------ showing

    def set_lines(self, lines: Sequence[RunRow]) -> None:
        """Show these runs; selection, sorting and scroll position stay where the rows do."""
        with self._keeping_place():
            self.model.set_lines(lines)
        found = self.view if self.model.rowCount() else self._nothing
        self._stack.setCurrentWidget(found if lines else self._empty)

    def arrange(self, **changes: Any) -> None:
        """Change which runs are shown, and how: fields of `Arrangement`."""
        with self._keeping_place():
            self.model.rearrange(**changes)
        if self._stack.currentWidget() is not self._empty:
            self._stack.setCurrentWidget(self.view if self.model.rowCount() else self._nothing)

    @contextlib.contextmanager
    def _keeping_place(self) -> Iterator[None]:
        """Selection and scroll position stay where the rows do."""
        keys, current, bar = self.selected_keys(), self._key(self.view.currentIndex()), self.view.verticalScrollBar()
        place, before = bar.value(), self.model.rowCount()
        yield
        if keys and not self.selected_keys() and before:
            self.select(keys, current)
            bar.setValue(place)

    def _span_heads(self) -> None:
        """The head of a group goes across all columns."""
        self.view.clearSpans()
        if self.model.arrangement.grouping:
            for row in range(self.model.rowCount()):
                if self.model.line(row) is None:
                    self.view.setSpan(row, 0, 1, len(Column))

    def set_palette(self, palette: Palette) -> None:
        """Paint in these colours."""
        self._delegate.palette = palette
        self.view.viewport().update()

    def selected_keys(self) -> list[str]:
        """The keys of the selected rows, from top to bottom."""
        rows = sorted(self.view.selectionModel().selectedRows(), key=lambda index: index.row())
        return [self._key(index) for index in rows]

    def select(self, keys: Sequence[str], current: str = "") -> None:
        """Select these runs and nothing else."""
        selection = self.view.selectionModel()
        selection.clearSelection()
        flags = QItemSelectionModel.SelectionFlag.Select | QItemSelectionModel.SelectionFlag.Rows
        for key in keys:
            row = self.model.row_of(key)
            if row is not None:
                index = self.model.index(row, Column.NAME)
                selection.select(index, flags)
                if key == (current or keys[0]):
                    selection.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.NoUpdate)

    def take_focus(self) -> None:
        """Put the keyboard into the table, upon a row."""
        self.view.setFocus(Qt.FocusReason.ShortcutFocusReason)
        if not self.view.currentIndex().isValid() and self.model.rowCount():
            self.view.selectRow(0)

    def edit_name(self, key: str) -> None:
        """Start renaming a run in its row."""
        row = self.model.row_of(key)
        if row is not None:
            index = self.model.index(row, Column.NAME)
            self.view.setCurrentIndex(index)
            self.view.edit(index)

    def _key(self, index: QModelIndex) -> str:
        line = self.model.line(index.row()) if index.isValid() else None
        return line.key if line is not None else ""

    def _open(self, index: QModelIndex) -> None:
        if key := self._key(index):
            self.opened.emit(key)

    def _on_current(self, current: QModelIndex, _previous: QModelIndex) -> None:
        if key := self._key(current):
            self.focused.emit(key)

    def _toggle_selected(self) -> None:
        current = self.view.currentIndex()
        if current.isValid() and self.model.line(current.row()) is None:
            self.model.toggle_group(current.row())
            return
        rows = (self.model.row_of(key) for key in self.selected_keys())
        lines = [line for row in rows if row is not None and (line := self.model.line(row)) is not None]
        on = not all(line.ticked for line in lines)
        self.all_ticked.emit([line.key for line in lines], on)

    def _fit_columns(self, width: int) -> None:
        """Use the whole width; hide spare columns where the others would be cut."""
        scale = self.fontMetrics().height() / 15
        natural = {column: width * scale for column, width in _WIDTHS.items()}
        for column in _SPARE:
            hide = sum(natural.values()) > width
            self.view.setColumnHidden(column, hide)
            if hide:
                del natural[column]
        tick = natural.pop(Column.TICK)
        factor = (width - tick) / sum(natural.values())
        used = round(tick)
        self.view.setColumnWidth(Column.TICK, used)
        for column, base in natural.items():
            share = round(base * factor) if column != max(natural) else width - used
            self.view.setColumnWidth(column, share)
            used += share


class _View(QTableView):
    """A table view that tells apart keys and clicks the table cares about."""

    menu_asked = Signal(QPoint)
    delete_asked = Signal()
    tick_asked = Signal()
    resized = Signal(int)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if self.selectionModel().hasSelection():
            self.menu_asked.emit(event.globalPos())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        match event.key():
            case Qt.Key.Key_Space:
                self.tick_asked.emit()
            case Qt.Key.Key_Return | Qt.Key.Key_Enter if self.state() != QAbstractItemView.State.EditingState:
                self.activated.emit(self.currentIndex())
            case Qt.Key.Key_Delete | Qt.Key.Key_Backspace:
                self.delete_asked.emit()
            case _:
                super().keyPressEvent(event)

    def resizeEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        super().resizeEvent(event)
        self.resized.emit(self.viewport().width())
