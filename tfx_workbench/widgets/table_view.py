"""Small tables of an exhibit: words already formatted, numbers right; rows that show more when they are clicked."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, Qt, Signal
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QAbstractItemView, QFrame, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from tfx_workbench.exhibits.exhibit import Table
from tfx_workbench.exhibits.palette import Palette
from tfx_workbench.widgets.exhibit_words import said
from tfx_workbench.widgets.words import plain_tip

_ROW, _HEAD = 22, 44  # px; the head with room for a scroll bar below the rows
_TALLEST = (1 << 24) - 1  # as high as Qt lets a widget be


class TableView(QTableWidget):
    """Shows the rows of tables with the same columns, one below the other."""

    chosen = Signal(str, str)  # name of a choice, key of the row

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._tables: tuple[Table, ...] = ()
        self._look = ""
        self._keys: list[tuple[str, str]] = []
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setShowGrid(False)
        self.setTabKeyNavigation(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(_ROW)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.horizontalHeader().setHighlightSections(False)
        self.clicked.connect(self._choose)
        self.activated.connect(self._choose)

    def show_tables(self, tables: tuple[Table, ...], palette: Palette, is_beside: bool = False) -> None:
        """Take on new rows. `is_beside`: there are plots, too, which get the room that the rows do not need."""
        rows = [row for table in tables for row in table.rows]
        self.setMaximumHeight(_HEAD + _ROW * len(rows) if is_beside else _TALLEST)
        if (tables, palette.name) == (self._tables, self._look):
            return
        self._tables, self._look = tables, palette.name
        columns = tables[0].columns
        self._keys = [(t.chooses, t.keys[r] if t.keys else "") for t in tables for r in range(len(t.rows))]
        self.setColumnCount(len(columns))
        self.setRowCount(len(rows))
        for c, column in enumerate(columns):
            side = Qt.AlignmentFlag.AlignRight if column.number else Qt.AlignmentFlag.AlignLeft
            for r, words in enumerate([column.title, *(row[c] for row in rows)], start=-1):
                item = QTableWidgetItem(said(words))
                item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
                if r < 0:
                    self.setHorizontalHeaderItem(c, item)
                else:
                    item.setToolTip(plain_tip(said(words)))  # a long one is cut off
                    self.setItem(r, c, item)
        colours = [t.colours[r] if t.colours else "" for t in tables for r in range(len(t.rows))]
        for r, name in enumerate(colours):
            if name and (first := self.item(r, 0)) is not None:
                first.setForeground(QColor(palette.colour(name)))

    def _choose(self, index: QModelIndex) -> None:
        name, key = self._keys[index.row()]
        if name:
            self.chosen.emit(name, key)
