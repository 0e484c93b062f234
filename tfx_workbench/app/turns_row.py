"""Whether the runs of an ablation take turns, and how precisely: `ablate --interleave --precision --minutes`."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QWidget

from tfx_workbench.app.fair_dialog import NumberField
from tfx_workbench.session.fair import Wish
from tfx_workbench.widgets.words import plain_tip


class TurnsRow(QWidget):
    """A box to tick, and what is asked of turns where it is."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.turns = QCheckBox(self.tr("Compare fairly"))
        self.turns.setToolTip(plain_tip(self.tr(
            "The runs take turns of a few steps, in rounds of new processes, so that what changes on the machine meets "
            "all of them alike. All are in memory at once. One after the other they take less time, and drift of the "
            "machine looks like an effect.")))
        self.precision = NumberField(0.1, 50.0, Wish().precision, self.tr("Precision in per cent"))
        self.precision.setToolTip(plain_tip(self.tr(
            "It ends as soon as every 95 % interval reaches no further than this from its difference. A difference of "
            "twice as much is then told apart from this machine's noise in nine of ten comparisons.")))
        self.minutes = NumberField(0.5, 1440.0, Wish().minutes, self.tr("At most so many minutes"))
        self.control = QCheckBox(self.tr("run the baseline a second time"))
        self.control.setChecked(Wish().control)
        self.control.setToolTip(plain_tip(self.tr(
            "What the two differ by is this machine's noise: a smaller effect is not distinguishable.")))
        self._fields = (_muted(self.tr("precision ±")), self.precision, _muted(self.tr("%,  at most")), self.minutes,
                        _muted(self.tr("minutes")), self.control)
        row.addWidget(self.turns)
        row.addSpacing(12)
        for field in self._fields:
            if field is self.control:
                row.addSpacing(12)
            row.addWidget(field)
        row.addStretch(1)
        for box in (self.turns, self.control):
            box.toggled.connect(self._on_change)
        for number in (self.precision, self.minutes):
            number.changed.connect(self._on_change)
        self._on_change()

    def wish(self) -> Wish | None:
        """What is asked of turns; None: one after the other."""
        if not self.turns.isChecked():
            return None
        return Wish(self.precision.value(), self.minutes.value(), self.control.isChecked())

    def _on_change(self, *_: object) -> None:
        for field in self._fields:
            field.setVisible(self.turns.isChecked())
        self.changed.emit()


def _muted(text: str) -> QLabel:
    label = QLabel(text)
    label.setObjectName("muted")
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label
