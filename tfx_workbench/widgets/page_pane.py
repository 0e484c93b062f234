"""A card over the panels with the page of a technique: read it, go to the next one, choose it. Escape closes it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QRect, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QFrame,
    QGraphicsDropShadowEffect,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from tfx_engine.protocol.cards import Catalogue
from tfx_workbench.exhibits.palette import Palette
from tfx_workbench.widgets.technique_page import TechniquePage
from tfx_workbench.widgets.words import plain_tip, shown

_WIDTH = 600


class PagePane(QFrame):
    """Lies over the left part of `beside`. Emits `technique_chosen(slot, name)` where its button is pressed."""

    technique_chosen = Signal(str, str)
    turned = Signal()  # another page is open
    closed = Signal()

    def __init__(self, catalogue: Catalogue, beside: QWidget, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("pagePane")
        self._catalogue, self._beside, self._whole = catalogue, beside, parent
        self.slot = self.name = ""
        self.page = TechniquePage(self)
        column = QVBoxLayout(self)
        column.setContentsMargins(20, 10, 8, 12)
        column.setSpacing(8)
        column.addLayout(self._head())
        column.addWidget(self.page, 1)
        for keys, step in (("Alt+Left", -1), ("Alt+Right", 1)):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda step=step: self.go(step))
        shadow = QGraphicsDropShadowEffect(self)
        shadow.setBlurRadius(28)
        shadow.setOffset(0, 4)
        shadow.setColor(QColor(0, 0, 0, 110))
        self.setGraphicsEffect(shadow)
        beside.installEventFilter(self)
        self.hide()

    def _head(self) -> QHBoxLayout:
        row = QHBoxLayout()
        row.setSpacing(4)
        self._place = QLabel()
        self._place.setObjectName("muted")
        self.choose_button = QPushButton(self.tr("Choose"))
        self.choose_button.setToolTip(plain_tip(self.tr("Fill the slot with this technique.")))
        self.choose_button.clicked.connect(lambda _=False: self.technique_chosen.emit(self.slot, self.name))
        row.addWidget(self._button("‹", self.tr("The technique before (Alt+Left)"), lambda: self.go(-1)))
        row.addWidget(self._button("›", self.tr("The next technique (Alt+Right)"), lambda: self.go(1)))
        row.addWidget(self._place)
        row.addStretch(1)
        row.addWidget(self.choose_button)
        row.addWidget(self._button("×", self.tr("Close (Esc)"), self.close_page))
        return row

    def _button(self, sign: str, tip: str, do) -> QPushButton:  # type: ignore[no-untyped-def]
        button = QPushButton(sign)
        button.setObjectName("disclosure")
        button.setAccessibleName(tip)
        button.setToolTip(plain_tip(tip))
        button.setFixedSize(24, 24)
        button.clicked.connect(lambda _=False: do())
        return button

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
        self._fit()
        self.show()
        self.raise_()
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

    def close_page(self) -> None:
        """Close it; `closed` tells who had the keyboard before."""
        self.hide()
        self.closed.emit()

    def apply_theme(self, palette: Palette) -> None:
        """Take on these colours."""
        self.page.apply_theme(palette)

    def _names(self) -> list[str]:
        return [t.name for t in self._catalogue.in_slot(self.slot)]

    # ------------------------------------------------------------------ place and keys

    def _fit(self) -> None:
        corner = self._beside.mapTo(self._whole, self._beside.rect().topLeft())
        width = min(_WIDTH, self._beside.width())
        self.setGeometry(QRect(corner.x(), corner.y(), width, self._beside.height()))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if event.type() in (QEvent.Type.Resize, QEvent.Type.Move) and not self.isHidden():
            self._fit()
        return super().eventFilter(watched, event)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape:
            self.close_page()
            return
        super().keyPressEvent(event)
