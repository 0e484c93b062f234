"""Small tables of an exhibit: words already formatted, numbers right."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from tfx_workbench.exhibits.exhibit import Table
from tfx_workbench.widgets.exhibit_words import said


class TableView(QTableWidget):
    """Shows the rows of tables with the same columns, one below the other."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.verticalHeader().hide()
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)

    def show_tables(self, tables: tuple[Table, ...]) -> None:
        """Take on new rows."""
        columns = tables[0].columns
        rows = [row for table in tables for row in table.rows]
        self.setColumnCount(len(columns))
        self.setRowCount(len(rows))
        self.setHorizontalHeaderLabels([said(c.title) for c in columns])
        for r, row in enumerate(rows):
            for c, words in enumerate(row):
                item = QTableWidgetItem(said(words))
                side = Qt.AlignmentFlag.AlignRight if columns[c].number else Qt.AlignmentFlag.AlignLeft
                item.setTextAlignment(side | Qt.AlignmentFlag.AlignVCenter)
                self.setItem(r, c, item)
