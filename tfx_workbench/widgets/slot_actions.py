"""What can be done with a slot beside choosing: small buttons after its title, there while the mouse is."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QWidget

from tfx_workbench.widgets.words import plain_tip


class SlotActions(QWidget):
    """Emits `page_asked()`, `star_asked()` and `reset_asked()`."""

    page_asked = Signal()
    star_asked = Signal()
    reset_asked = Signal()

    def __init__(self, title: str, parent: QWidget) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        self.page = self._button("?", self.tr("About {slot}").format(slot=title),
                                 self.tr("Read about the chosen technique (F1)"), self.page_asked)
        self.star = self._button("☆", self.tr("Favourite: {slot}").format(slot=title), "", self.star_asked)
        self.reset = self._button("↺", self.tr("Reset {slot}").format(slot=title),
                                  self.tr("Back to the default (Ctrl+Backspace)"), self.reset_asked)
        for button in (self.page, self.star, self.reset):
            row.addWidget(button)

    def _button(self, sign: str, name: str, tip: str, signal) -> QPushButton:  # type: ignore[no-untyped-def]
        button = QPushButton(sign, self)
        button.setObjectName("slotAction")
        button.setAccessibleName(name)
        button.setToolTip(plain_tip(tip or name))
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # each has a key: the form has enough stops for Tab
        button.setFixedSize(20, 18)
        button.clicked.connect(lambda _=False: signal.emit())
        return button

    def show_state(self, starred: bool, changed: bool) -> None:
        """Whether the slot is a favourite, and whether there is something to reset."""
        self.star.setText("★" if starred else "☆")
        self.star.setToolTip(plain_tip(
            self.tr("No favourite any more (Ctrl+D)") if starred else
            self.tr("A favourite: always in view, and found with the star above (Ctrl+D)")))
        self.reset.setVisible(changed)
        self.adjustSize()
