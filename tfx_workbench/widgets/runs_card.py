"""The table of runs as a quiet card: title left, right of it how many are shown and what they are compared with."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from tfx_workbench.widgets.run_table import RunTable


class RunsCard(QFrame):
    """Holds `table`."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("card")
        self.table = RunTable()
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 8, 4, 4)
        column.setSpacing(2)
        head = QHBoxLayout()
        head.setContentsMargins(8, 0, 8, 0)
        title = QLabel(self.tr("Runs"))
        title.setObjectName("cardTitle")
        self._sentence = QLabel()
        self._sentence.setObjectName("muted")
        self._sentence.setTextFormat(Qt.TextFormat.PlainText)
        head.addWidget(title)
        head.addStretch(1)
        head.addWidget(self._sentence)
        column.addLayout(head)
        column.addWidget(self.table, 1)
        self.setMinimumHeight(120)

    def show_sentence(self, text: str) -> None:
        """Say the one thing that matters about the table."""
        self._sentence.setText(text)
