"""A card over the panels with the page of a technique: read it, go to the next one, choose it. Escape closes it."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QWidget

from tfx_engine.protocol.cards import Catalogue
from tfx_workbench.exhibits.palette import Palette
from tfx_workbench.widgets.over_card import OverCard
from tfx_workbench.widgets.technique_page import TechniquePage
from tfx_workbench.widgets.words import plain_tip, shown

_WIDTH = 600


class PagePane(OverCard):
    """Lies over the left part of `beside`. Emits `technique_chosen(slot, name)` where its button is pressed."""

    technique_chosen = Signal(str, str)
    turned = Signal()  # another page is open

    def __init__(self, catalogue: Catalogue, beside: QWidget, parent: QWidget) -> None:
        super().__init__(beside, parent, _WIDTH)
        self._catalogue = catalogue
        self.slot = self.name = ""
        self.page = TechniquePage(self)
        self.column.addLayout(self._head())
        self.column.addWidget(self.page, 1)
        for keys, step in (("Alt+Left", -1), ("Alt+Right", 1)):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda step=step: self.go(step))

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        self._place = QLabel()
        self._place.setObjectName("muted")
        self.choose_button = QPushButton(self.tr("Choose"))
        self.choose_button.setToolTip(plain_tip(self.tr("Fill the slot with this technique.")))
        self.choose_button.clicked.connect(lambda _=False: self.technique_chosen.emit(self.slot, self.name))
        row.addWidget(self.small_button("‹", self.tr("The technique before (Alt+Left)"), lambda: self.go(-1)))
        row.addWidget(self.small_button("›", self.tr("The next technique (Alt+Right)"), lambda: self.go(1)))
        row.addWidget(self._place)
        row.addStretch(1)
        row.addWidget(self.choose_button)
        row.addWidget(self.small_button("×", self.tr("Close (Esc)"), self.close_page))
        return row

    # ------------------------------------------------------------------ showing

    def show_page(self, slot: str, name: str, *, focus: bool = True) -> None:
        """Show the page of a technique; nothing happens where there is none of that name."""
        slot_card, card = self._catalogue.slot(slot), self._catalogue.find(slot, name)
        if slot_card is None or card is None:
            return
        if (slot, name) != (self.slot, self.name) or self.isHidden():
            self.slot, self.name = slot, name
            self.page.show_card(slot_card, card)
        names = self._names()
        self._place.setText(self.tr("{slot} · {which} of {count}").format(
            slot=shown(slot_card.title), which=names.index(name) + 1, count=len(names)))
        self.lay_over()
        self.turned.emit()
        if focus:
            self.page.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def show_choice(self, chosen: str, reason: str = "") -> None:
        """Say whether the technique on the page is the chosen one, or why it cannot be."""
        is_chosen = chosen == self.name
        self.choose_button.setText(self.tr("Chosen") if is_chosen else self.tr("Choose"))
        self.choose_button.setEnabled(not is_chosen and not reason)
        self.choose_button.setToolTip(plain_tip(reason or self.tr("Fill the slot with this technique.")))

    def go(self, step: int) -> None:
        """The next technique of the slot, or the one before, round and round."""
        names = self._names()
        self.show_page(self.slot, names[(names.index(self.name) + step) % len(names)], focus=False)

    def apply_theme(self, palette: Palette) -> None:
        """Take on these colours."""
        self.page.apply_theme(palette)

    def _names(self) -> list[str]:
        return [t.name for t in self._catalogue.in_slot(self.slot)]
