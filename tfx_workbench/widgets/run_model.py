"""The runs as rows of a table: a Qt model over lines that somebody else computed."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QObject, QPersistentModelIndex, Qt, Signal

from tfx_workbench.exhibits import format as fmt
from tfx_workbench.widgets.run_row import Difference, Median, RunRow
from tfx_workbench.widgets.words import plain_tip

Index = QModelIndex | QPersistentModelIndex
LINE_ROLE = Qt.ItemDataRole.UserRole + 1
SORT_ROLE = Qt.ItemDataRole.UserRole + 2
AUDIT_ROLE = Qt.ItemDataRole.UserRole + 3  # what the audit found, in a word or two


class Column(enum.IntEnum):
    """The columns from left to right."""

    TICK = 0
    NAME = 1
    STATUS = 2
    SPEED = 3
    SPEED_EFFECT = 4
    MEMORY = 5
    MEMORY_EFFECT = 6
    LOSS = 7
    TRAINABLE = 8


_TEXT_COLUMNS = (Column.TICK, Column.NAME, Column.STATUS)


class RunModel(QAbstractTableModel):
    """Shows lines; emits `ticked(key, on)` and `renamed(key, name)` when the user asks for that."""

    ticked = Signal(str, bool)
    renamed = Signal(str, str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lines: list[RunRow] = []

    def set_lines(self, lines: Sequence[RunRow]) -> None:
        """Show these lines; where only figures changed, selection and scroll position stay."""
        same_rows = [line.key for line in lines] == [line.key for line in self._lines]
        if same_rows:
            changed = [i for i, (old, new) in enumerate(zip(self._lines, lines, strict=True)) if old != new]
            self._lines = list(lines)
            if changed:
                self.dataChanged.emit(self.index(changed[0], 0), self.index(changed[-1], len(Column) - 1))
            return
        self.beginResetModel()
        self._lines = list(lines)
        self.endResetModel()

    def line(self, row: int) -> RunRow:
        """The line in a row."""
        return self._lines[row]

    def row_of(self, key: str) -> int | None:
        """The row of a run, None where it is not shown."""
        return next((i for i, line in enumerate(self._lines) if line.key == key), None)

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008  Qt's signature
        return 0 if parent.isValid() else len(self._lines)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008
        return 0 if parent.isValid() else len(Column)

    def flags(self, index: Index) -> Qt.ItemFlag:
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
            return self._titles()[Column(section)]
        if role == Qt.ItemDataRole.ToolTipRole:
            return plain_tip(self._definitions()[Column(section)])
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _alignment(Column(section))
        return None

    def _titles(self) -> dict[Column, str]:
        return {
            Column.TICK: "", Column.NAME: self.tr("configuration"), Column.STATUS: self.tr("status"),
            Column.SPEED: self.tr("tokens/s"), Column.SPEED_EFFECT: self.tr("effect"),
            Column.MEMORY: self.tr("peak memory"), Column.MEMORY_EFFECT: self.tr("effect"),
            Column.LOSS: self.tr("loss"), Column.TRAINABLE: self.tr("trained"),
        }

    def _definitions(self) -> dict[Column, str]:
        return {
            Column.TICK: self.tr("Ticked runs are shown together in every panel, each in its colour."),
            Column.NAME: self.tr("The name of the configuration. F2 changes it."),
            Column.STATUS: self.tr("What the run is doing, and how long it still takes."),
            Column.SPEED: self.tr(
                "Tokens in a step / wall time of the step: median over the measured steps with its 95 % interval."),
            Column.SPEED_EFFECT: self.tr("Throughput against the baseline, with its 95 % interval."),
            Column.MEMORY: self.tr(
                "Bytes allocated: the maximum over the measured steps; on a CPU over those whose memory was split."),
            Column.MEMORY_EFFECT: self.tr("Peak memory against the baseline."),
            Column.LOSS: self.tr("Training loss of the last step, in nats."),
            Column.TRAINABLE: self.tr("Parameters that are trained, of all parameters."),
        }

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid() or not 0 <= index.row() < len(self._lines):
            return None
        line, column = self._lines[index.row()], Column(index.column())
        match role:
            case Qt.ItemDataRole.DisplayRole:
                return self._text(line, column)
            case Qt.ItemDataRole.EditRole:
                return line.name if column == Column.NAME else None
            case Qt.ItemDataRole.CheckStateRole if column == Column.TICK:
                return Qt.CheckState.Checked if line.ticked else Qt.CheckState.Unchecked
            case Qt.ItemDataRole.TextAlignmentRole:
                return _alignment(column)
            case Qt.ItemDataRole.ToolTipRole:
                return self._tip(line, column)
            case Qt.ItemDataRole.AccessibleTextRole if column == Column.TICK:
                return self.tr("{name}, shown").format(name=line.name) if line.ticked else line.name
            case _ if role == LINE_ROLE:
                return line
            case _ if role == AUDIT_ROLE:
                return self.audit_words(line)
            case _ if role == SORT_ROLE:
                return _sort_key(line, column)
        return None

    def _text(self, line: RunRow, column: Column) -> str:
        match column:
            case Column.NAME:
                return line.name
            case Column.STATUS:
                return self.status_words(line)
            case Column.SPEED:
                return _with_interval(line.tokens_per_s)
            case Column.SPEED_EFFECT:
                return self._effect_words(line, line.speed_effect, interval=True)
            case Column.MEMORY:
                return fmt.size(line.peak_bytes) if line.peak_bytes is not None else ""
            case Column.MEMORY_EFFECT:
                return self._effect_words(line, line.memory_effect, interval=False)
            case Column.LOSS:
                return fmt.number(line.loss) if line.loss is not None else ""
            case Column.TRAINABLE:
                return fmt.count(line.trainable) if line.trainable is not None else ""
        return ""

    def status_words(self, line: RunRow) -> str:
        """The status in words, with progress and the time that is left while it runs."""
        words = {
            "queued": self.tr("waiting"), "running": self.tr("starting"), "finished": self.tr("finished"),
            "failed": self.tr("failed"), "stopped": self.tr("stopped"), "interrupted": self.tr("interrupted"),
        }
        if line.status != "running" or line.progress is None:
            return words.get(line.status, line.status)
        percent = f"{line.progress * 100:.0f} %"
        if line.paused:
            return self.tr("{percent} · paused").format(percent=percent)
        if line.eta_s is None:
            return percent
        return self.tr("{percent} · {time} left").format(percent=percent, time=_time_left(line.eta_s))

    def audit_words(self, line: RunRow) -> str:
        """What the audit found, in a word or two; "" where there was none."""
        if line.claims_broken:
            return self.tr("{count} broken").format(count=len(line.claims_broken))
        return self.tr("{count} claims hold").format(count=line.claims_held) if line.claims_held else ""

    def _effect_words(self, line: RunRow, effect: Difference | None, *, interval: bool) -> str:
        if line.is_baseline:
            return self.tr("baseline") if interval else ""
        if effect is None:
            return ""
        if effect.distinguishable is False and interval:
            return self.tr("not distinguishable")
        if not math.isfinite(effect.percent):
            return ""
        bounds = fmt.interval(effect.low, effect.high) if interval else ""
        return f"{fmt.signed_percent(effect.percent)} {bounds}".rstrip()

    def _tip(self, line: RunRow, column: Column) -> str:
        match column:
            case Column.NAME:
                return plain_tip(line.name, line.created, line.key)
            case Column.STATUS:
                return plain_tip(self.status_words(line), line.reason, self.audit_words(line), *line.claims_broken)
            case Column.TRAINABLE if line.trainable is not None and line.total:
                return plain_tip(self.tr("{trained:,} of {total:,} parameters are trained: {share:.3g} %").format(
                    trained=line.trainable, total=line.total, share=100 * line.trainable / line.total))
            case Column.SPEED_EFFECT if line.speed_effect is not None:
                effect = line.speed_effect
                percents = {"percent": effect.percent, "low": effect.low, "high": effect.high}
                return plain_tip(self.tr(
                    "Throughput differs by {percent} from the baseline; 95 % interval {low} to {high}."
                ).format(**{name: fmt.signed_percent(value) for name, value in percents.items()}))
        return plain_tip(self._definitions()[column])

    # ------------------------------------------------------------------ writing

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        line = self._lines[index.row()]
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


def _time_left(seconds: float) -> str:
    """Whole seconds: a guess has no decimals."""
    return f"{max(0, round(seconds))} s" if seconds < 59.5 else fmt.duration(1000 * seconds)


def _with_interval(interval: Median | None) -> str:
    if interval is None:
        return ""
    return f"{fmt.number(interval.median)} {fmt.spread(interval.median, interval.low, interval.high)}".rstrip()


def _sort_key(line: RunRow, column: Column) -> Any:
    unknown = -float("inf")
    match column:
        case Column.TICK:
            return int(line.ticked)
        case Column.NAME:
            return line.name.casefold()
        case Column.STATUS:
            return (line.status, line.progress or 0.0).__repr__()
        case Column.SPEED:
            return line.tokens_per_s.median if line.tokens_per_s else unknown
        case Column.SPEED_EFFECT:
            return line.speed_effect.percent if line.speed_effect else unknown
        case Column.MEMORY:
            return float(line.peak_bytes) if line.peak_bytes is not None else unknown
        case Column.MEMORY_EFFECT:
            return line.memory_effect.percent if line.memory_effect else unknown
        case Column.LOSS:
            return line.loss if line.loss is not None else unknown
        case Column.TRAINABLE:
            return float(line.trainable) if line.trainable is not None else unknown
