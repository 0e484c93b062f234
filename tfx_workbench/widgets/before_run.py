"""What is known of a configuration before it runs. It shows what the engine counted and nothing else."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QPushButton, QWidget

from tfx_workbench.exhibits.format import count
from tfx_workbench.widgets.words import plain_tip


class BeforeRun(QFrame):
    """A quiet strip of figures; invisible while none is known and nothing is wrong. Emits `problem_asked()`."""

    problem_asked = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("raised")
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(8, 6, 8, 6)
        self._grid.setVerticalSpacing(2)
        title = QLabel(self.tr("Before you run"))
        title.setObjectName("cardTitle")
        self._grid.addWidget(title, 0, 0)
        self._verdict = QPushButton(self)
        self._verdict.setObjectName("problemLink")
        self._verdict.setToolTip(plain_tip(self.tr("Go to the first of them.")))
        self._verdict.clicked.connect(self.problem_asked)
        self._verdict.hide()
        self._grid.addWidget(self._verdict, 0, 1, Qt.AlignmentFlag.AlignRight)
        self._grid.setColumnStretch(1, 1)
        self._rows: dict[str, tuple[QLabel, QLabel]] = {}
        self.hide()

    def show_counts(self, total: int | None, trainable: int | None, flops_per_token: float | None) -> None:
        """Parameters and model FLOPs per token (forward and backward), None where the engine gave none."""
        parameters = count(total) if total is not None else ""
        if total is not None and trainable is not None:
            words = self.tr("{total}, all trained") if trainable == total else self.tr("{total} · {trained} trained")
            parameters = words.format(total=parameters, trained=count(trainable))
        self._set(self.tr("parameters"), parameters, self.tr("Numbers in the model, and how many of them are trained."))
        self._set(self.tr("FLOPs / token"), count(flops_per_token) if flops_per_token else "", self.tr(
            "Model FLOPs of one training step, forward and backward, per token. A multiply-add is 2; "
            "attention counts in full, without a discount for the causal half."))
        self._show_strip()

    def show_problems(self, number: int) -> None:
        """Say how many things are wrong; none: nothing."""
        words = self.tr("1 problem") if number == 1 else self.tr("{count} problems")
        self._verdict.setText(words.format(count=number) if number else "")
        self._verdict.setVisible(number > 0)
        self._show_strip()

    def _show_strip(self) -> None:
        self.setVisible(bool(self.figures() or self._verdict.text()))

    def figures(self) -> dict[str, str]:
        """What is shown, by name."""
        return {name: value.text() for name, (_, value) in self._rows.items() if value.text()}

    def _set(self, name: str, text: str, definition: str) -> None:
        if name not in self._rows:
            label, value = QLabel(name), QLabel()
            label.setObjectName("muted")
            value.setAlignment(Qt.AlignmentFlag.AlignRight)
            for widget in (label, value):
                widget.setToolTip(plain_tip(definition))
            row = self._grid.rowCount()
            self._grid.addWidget(label, row, 0)
            self._grid.addWidget(value, row, 1)
            self._rows[name] = (label, value)
        for widget in self._rows[name]:
            widget.setVisible(bool(text))
        self._rows[name][1].setText(text)
