"""Whether the runs of an ablation take turns, and how precisely: `ablate --interleave --precision --minutes`."""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from tfx_workbench.app.wish_fields import WishFields
from tfx_workbench.session.fair import Wish
from tfx_workbench.widgets.muted_label import muted_label
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
        self._wishes = WishFields(self)
        self.precision, self.minutes, self.control = self._wishes.fields
        self._fields = (muted_label(self.tr("precision ±")), self.precision, muted_label(self.tr("%,  at most")),
                        self.minutes, muted_label(self.tr("minutes")), self.control)
        row.addWidget(self.turns)
        row.addSpacing(12)
        for field in self._fields:
            if field is self.control:
                row.addSpacing(12)
            row.addWidget(field)
        row.addStretch(1)
        self.turns.toggled.connect(self._on_change)
        self._wishes.changed.connect(self._on_change)
        self._on_change()

    def wish(self) -> Wish | None:
        """What is asked of turns; None: one after the other."""
        return self._wishes.wish() if self.turns.isChecked() else None

    def _on_change(self, *_: object) -> None:
        for field in self._fields:
            field.setVisible(self.turns.isChecked())
        self.changed.emit()
