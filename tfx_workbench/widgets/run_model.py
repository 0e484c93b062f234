"""The runs as rows of a table: a Qt model over lines that somebody else computed."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from tfx_workbench.analysis.statistics import Effect
from tfx_workbench.widgets.arranging import Arrangement, Entry, GroupHead
from tfx_workbench.widgets.run_row import RunRow
from tfx_workbench.widgets.run_words import Column, RunWords
from tfx_workbench.widgets.words import plain_tip

Index = QModelIndex | QPersistentModelIndex
LINE_ROLE = Qt.ItemDataRole.UserRole + 1
AUDIT_ROLE = Qt.ItemDataRole.UserRole + 3  # what the audit found, in a word or two


_TEXT_COLUMNS = (Column.TICK, Column.NAME, Column.STATUS)


class RunModel(QAbstractTableModel):
    """Shows lines as arranged; emits `ticked(key, on)` and `renamed(key, name)` when the user asks for that."""

    ticked = Signal(str, bool)
    renamed = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lines: list[RunRow] = []
        self._entries: list[Entry] = []
        self.arrangement = Arrangement()
        self.words = RunWords(self)

    def set_lines(self, lines: Sequence[RunRow]) -> None:
        """Show these lines; where only figures changed, selection and scroll position stay."""
        self._lines = list(lines)
        self._arrange()

    def rearrange(self, **changes: Any) -> None:
        """Change what is shown, and how: fields of `Arrangement`."""
        self.arrangement = dataclasses.replace(self.arrangement, **changes)
        self._arrange()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        key = functools.partial(_sort_key, column=Column(column)) if column >= 0 else None
        self.rearrange(key=key, descending=order == Qt.SortOrder.DescendingOrder)

    def _arrange(self) -> None:
        before, entries = self._entries, self.arrangement.arrange(self._lines)
        if [_key(entry) for entry in entries] == [_key(entry) for entry in before]:
            changed = [i for i, (old, new) in enumerate(zip(before, entries, strict=True)) if old != new]
            self._entries = entries
            if changed:
                self.dataChanged.emit(self.index(changed[0], 0), self.index(changed[-1], len(Column) - 1))
            return
        self.beginResetModel()
        self._entries = entries
        self.endResetModel()

    def entry(self, row: int) -> Entry:
        """What stands in a row."""
        return self._entries[row]

    def line(self, row: int) -> RunRow | None:
        """The line in a row, None where the head of a group stands there."""
        entry = self._entries[row]
        return None if isinstance(entry, GroupHead) else entry

    @property
    def shown(self) -> int:
        """How many runs the search has found, also where their group is folded."""
        entries = self._entries
        return sum(e.count if isinstance(e, GroupHead) else not self.arrangement.grouping for e in entries)

    def toggle_group(self, row: int) -> None:
        """Fold the group whose head stands in a row, or unfold it."""
        entry = self._entries[row]
        if isinstance(entry, GroupHead):
            self.rearrange(folded=self.arrangement.folded ^ {entry.group})

    def row_of(self, key: str) -> int | None:
        """The row of a run, None where it is not shown."""
        return next((i for i, entry in enumerate(self._entries) if _key(entry) == key), None)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008  Qt's signature
        return 0 if parent.isValid() else len(self._entries)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(Column)

    def flags(self, index: Index) -> Qt.ItemFlag:
        if index.isValid() and self.line(index.row()) is None:
            return Qt.ItemFlag.ItemIsEnabled
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.column() == Column.TICK:
            flags |= Qt.ItemFlag.ItemIsUserCheckable
        if index.column() == Column.NAME:
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    # ------------------------------------------------------------------ reading

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return self.words.titles()[Column(section)]
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(self.words.definitions()[Column(section)])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(Column(section))
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or not 0 <= index.row() < len(self._entries):
            return None
        line, column = self._entries[index.row()], Column(index.column())
        if isinstance(line, GroupHead):
            return self._of_head(line, role)
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self.words.text(line, column)
            case Qt.ItemDataRole.EditRole:
                return line.name if column == Column.NAME else None
            case Qt.ItemDataRole.CheckStateRole if column == Column.TICK:
                return Qt.CheckState.Checked if line.ticked else Qt.CheckState.Unchecked
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(column)
            case Qt.ItemDataRole.ToolTipRole:
                return self.words.tip(line, column)
            case Qt.ItemDataRole.AccessibleTextRole if column == Column.TICK:
                return self.tr("{name}, shown").format(name=line.name) if line.ticked else line.name
            case _ if role == LINE_ROLE:
                return line
            case _ if role == AUDIT_ROLE:
                return self.words.audit(line)
        return None

    def _of_head(self, head: GroupHead, role: int) -> Any:
        if role == LINE_ROLE:
            return head
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.AccessibleTextRole):
            return self.words.group(head, self.arrangement.grouping)
        return None

    # ------------------------------------------------------------------ writing

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        line = self.line(index.row())
        if line is None:
            return False
        if role == Qt.ItemDataRole.CheckStateRole:
            self.ticked.emit(line.key, Qt.CheckState(value) == Qt.CheckState.Checked)
            return True
        name = str(value).strip()
        if role == Qt.ItemDataRole.EditRole and name and name != line.name:
            self.renamed.emit(line.key, name)
            return True
        return False


def _alignment(column: Column) -> Qt.AlignmentFlag:
    side = Qt.AlignmentFlag.AlignLeft if column in _TEXT_COLUMNS else Qt.AlignmentFlag.AlignRight
    return side | Qt.AlignmentFlag.AlignVCenter


def _key(entry: Entry) -> str:
    """What tells an entry from the others; the file system knows no names with a NUL."""
    return f"\0{entry.group}" if isinstance(entry, GroupHead) else entry.key


def _sort_key(line: RunRow, column: Column) -> Any:
    """What a column is sorted by, None where that is not known."""
    match column:
        case Column.TICK:
            return int(line.ticked)
        case Column.NAME:
            return line.name.casefold()
        case Column.STATUS:
            return (line.status, line.progress or 0.0)
        case Column.SPEED:
            return line.tokens_per_s.median if line.tokens_per_s else None
        case Column.SPEED_EFFECT:
            return _known(line.speed_effect)
        case Column.MEMORY:
            return line.peak_bytes
        case Column.MEMORY_EFFECT:
            return _known(line.memory_effect)
        case Column.LOSS:
            return line.loss
        case Column.TRAINABLE:
            return line.trainable


def _known(effect: Effect | None) -> float | None:
    return effect.percent if effect is not None and math.isfinite(effect.percent) else None
