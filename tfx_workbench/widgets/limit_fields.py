"""Two fields: what must fit into how much memory, at how many tokens per second at least."""

from __future__ import annotations

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QWidget

from tfx_engine.protocol.problems import ConfigError
from tfx_engine.protocol.sizes import parse_bytes
from tfx_workbench.widgets.muted_label import muted_label
from tfx_workbench.widgets.words import plain_tip, problem_words

_AFTER_MS = 250  # of quiet: a size that is half typed is another size


class LimitFields(QWidget):
    """Emits `changed(memory, speed)`, both as typed; what cannot be understood is marked and not passed on."""

    changed = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        self.memory = self._field(row, self.tr("fits in"), self.tr("12 GB"), self.tr("Memory limit"), self.tr(
            "Only configurations whose peak is within this: 12GB, 24GiB, or a device such as RTX 4090."))
        self.speed = self._field(row, self.tr("at"), "2000", self.tr("Least tokens per second"), self.tr(
            "Only configurations that are at least this fast."))
        row.addWidget(muted_label(self.tr("tokens/s or more")))
        row.addStretch(1)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_AFTER_MS)
        self._timer.timeout.connect(self._tell)

    def _field(self, row: QHBoxLayout, before: str, example: str, name: str, tip: str) -> QLineEdit:
        label, field = muted_label(before), QLineEdit()
        label.setBuddy(field)
        field.setPlaceholderText(example)
        field.setAccessibleName(name)
        field.setToolTip(plain_tip(tip))
        field.setMaximumWidth(84)
        field.setClearButtonEnabled(False)
        field.textEdited.connect(lambda _text: self._timer.start())
        field.editingFinished.connect(self._tell)
        row.addWidget(label)
        row.addWidget(field)
        return field

    def show_values(self, memory: str, speed: str) -> None:
        """Show what is asked for, without a signal."""
        for field, text in ((self.memory, memory), (self.speed, speed)):
            if field.text() != text and not field.hasFocus():
                field.setText(text)

    def _tell(self) -> None:
        self._timer.stop()
        memory, speed = self.memory.text().strip(), self.speed.text().strip()
        why_memory, why_speed = _wrong_size(memory), self._wrong_number(speed)
        for field, why in ((self.memory, why_memory), (self.speed, why_speed)):
            field.setProperty("wrong", bool(why))
            field.setAccessibleDescription(why)
            field.style().polish(field)
            if why:
                field.setToolTip(plain_tip(why))
        if not (why_memory or why_speed):
            self.changed.emit(memory, speed)

    def _wrong_number(self, text: str) -> str:
        try:
            float(text.replace(",", "").replace(" ", "") or 0)
        except ValueError:
            return self.tr("{text} is no number of tokens per second.").format(text=text)
        return ""


def _wrong_size(text: str) -> str:
    try:
        if text:
            parse_bytes(text, "")
    except ConfigError as error:
        return problem_words(error.problems[0])
    return ""
