"""The controls of the frontier panel: within what, with which techniques, predict, confirm, cancel; how far it is."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import QComboBox, QMenu, QPushButton, QToolButton, QVBoxLayout, QWidget

from tfx_workbench.widgets.card import ElidedLabel
from tfx_workbench.widgets.flow_box import FlowBox
from tfx_workbench.widgets.restyling import set_styled
from tfx_workbench.widgets.words import plain_tip

_LIMITS = ("8 GiB", "12 GiB", "16 GiB", "24 GiB", "48 GiB", "80 GiB", "141 GiB")
_LIMIT_WIDTH = 92  # px: all in one row of a narrow card


class FrontierStrip(QWidget):
    """Emits `predict_asked()`, `confirm_asked()`, `cancel_asked()`; knows nothing of who answers."""

    predict_asked = Signal()
    confirm_asked = Signal()
    cancel_asked = Signal()

    def __init__(self, techniques: Sequence[str], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._busy = False
        self.limit = QComboBox()
        self.limit.setEditable(True)
        self.limit.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.limit.addItem(self.tr("device"))
        self.limit.addItems(_LIMITS)
        self.limit.setObjectName("small")
        self.limit.setFixedWidth(_LIMIT_WIDTH)
        self.limit.setAccessibleName(self.tr("Memory that it must fit into"))
        self.limit.setToolTip(plain_tip(self.tr(
            "The memory that it must fit into: that of the device here, a size such as 24GiB, or another device such "
            "as RTX 4090.")))
        if (line := self.limit.lineEdit()) is not None:
            line.returnPressed.connect(self.predict_asked)
        self.limit.editTextChanged.connect(lambda _text: self.show_wrong(""))
        self._with = self._technique_menu(techniques)
        self.predict = QPushButton()
        self.predict.setObjectName("small")
        self.predict.clicked.connect(self._on_predict)
        self.confirm = QPushButton(self.tr("Confirm"))
        self.confirm.setObjectName("small")
        self.confirm.setToolTip(plain_tip(self.tr(
            "Run two steps of each value that was found, one after the other, and measure their peak.")))
        self.confirm.clicked.connect(self.confirm_asked)
        self._doing = ElidedLabel()
        self._doing.setObjectName("muted")
        controls = FlowBox(self, spacing=4)
        for widget in (self.limit, self._with, self.predict, self.confirm):
            controls.add(widget)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 2, 0, 0)
        column.setSpacing(2)
        column.addWidget(controls)
        column.addWidget(self._doing)
        self.show_state(False, False, "")

    def _technique_menu(self, techniques: Sequence[str]) -> QToolButton:
        button = QToolButton()
        button.setObjectName("choice")
        button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        button.setToolTip(plain_tip(self.tr("What is tried beside the configuration as it is, one at a time.")))
        menu = QMenu(button)
        self._actions: dict[str, QAction] = {}
        for setting in techniques:
            action = menu.addAction(setting.replace("=", ": ").replace("_", " "))
            action.setCheckable(True)
            action.setChecked(True)
            action.toggled.connect(self._show_count)
            self._actions[setting] = action
        button.setMenu(menu)
        self._button = button
        self._show_count()
        return button

    def _show_count(self) -> None:
        count = len(self.techniques())
        self._button.setText(self.tr("+{count}").format(count=count) + " ▾")
        words = self.tr("1 technique") if count == 1 else self.tr("{count} techniques")
        self._button.setAccessibleName(words.format(count=count))

    def techniques(self) -> list[str]:
        """What is tried, as `slot=name`."""
        return [setting for setting, action in self._actions.items() if action.isChecked()]

    def choose_techniques(self, settings: Sequence[str]) -> None:
        """Tick these and no others."""
        for setting, action in self._actions.items():
            action.setChecked(setting in settings)

    def limit_text(self) -> str:
        """The limit as it was typed; "" for this device's own."""
        text = self.limit.currentText().strip()
        return "" if text == self.limit.itemText(0) else text

    def show_wrong(self, words: str) -> None:
        """Say what is wrong with the limit; "" for nothing."""
        set_styled(self.limit, "wrong", bool(words))
        if words or not self._busy:
            self._say(words)

    def show_state(self, busy: bool, can_confirm: bool, doing: str) -> None:
        """Whether something is under way, and what."""
        self._busy = busy
        self.predict.setText(self.tr("Cancel") if busy else self.tr("Predict"))
        self.predict.setToolTip(plain_tip(self.tr("What was found stays.") if busy else self.tr(
            "Look for the largest value that fits, from the configuration in the form alone; nothing is run.")))
        self.confirm.setEnabled(can_confirm and not busy)
        if busy or not self.limit.property("wrong"):
            self._say(doing)

    def _say(self, words: str) -> None:
        self._doing.set_text(words)
        self._doing.setVisible(bool(words))

    def _on_predict(self) -> None:
        (self.cancel_asked if self._busy else self.predict_asked).emit()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        if event.key() == Qt.Key.Key_Escape and self._busy:
            self.cancel_asked.emit()
        else:
            super().keyPressEvent(event)
