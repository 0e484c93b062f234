"""The top bar: menus, preset, name, Run / Pause / Stop, and what the engine and the device are doing."""

from __future__ import annotations

from PySide6.QtCore import QPoint, Qt, Signal
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QMenuBar,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from tfx_workbench.widgets.restyling import set_styled
from tfx_workbench.widgets.words import plain_tip

_COST_FROM_PX = 1440  # width of the bar in which everything has room

READY, BUSY, WAITING, GONE = "ready", "busy", "waiting", "gone"


class TopBar(QWidget):
    """Buttons act through the `QAction`s they are given, so that keys, menus and buttons always agree."""

    name_edited = Signal(str)

    def __init__(self, menus: QMenuBar, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 8, 12, 8)
        row.setSpacing(8)
        title = QLabel("TFX Workbench")
        title.setObjectName("appTitle")
        row.addWidget(title)
        menus.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Preferred)
        row.addWidget(menus)
        self.preset_menu = QMenu(self)
        self.preset_menu.setToolTipsVisible(True)
        self.preset = QPushButton()
        self.preset.setObjectName("preset")
        self.preset.clicked.connect(self.pop_presets)
        self.preset.setFixedWidth(170)
        self.preset.setAccessibleName(self.tr("Preset"))
        self.show_preset("")
        row.addWidget(self.preset)
        self.name = QLineEdit()
        self.name.setPlaceholderText(self.tr("Name of the run"))
        self.name.setAccessibleName(self.tr("Name of the run"))
        self.name.setMinimumWidth(90)
        self.name.setMaximumWidth(220)
        self.name.textEdited.connect(self.name_edited)
        row.addWidget(self.name, 2)
        self._buttons = QHBoxLayout()
        self._buttons.setSpacing(6)
        row.addLayout(self._buttons)
        row.addStretch(3)
        row.addWidget(self._chip())
        self._has_cost = False
        self.cost = QLabel()
        self.cost.setObjectName("muted")
        self.cost.hide()
        row.addWidget(self.cost)
        self._end = row

    def _chip(self) -> QFrame:
        self.chip = QFrame()
        self.chip.setObjectName("deviceChip")
        self.chip.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
        row = QHBoxLayout(self.chip)
        row.setContentsMargins(10, 4, 12, 4)
        row.setSpacing(6)
        self._dot = QLabel("●")
        self._dot.setObjectName("dot")
        self._device = QLabel()
        self._device.setTextFormat(Qt.TextFormat.PlainText)
        row.addWidget(self._dot)
        row.addWidget(self._device)
        self.show_device(self.tr("starting the engine"), WAITING)
        return self.chip

    def add_button(self, action: QAction, *, primary: bool = False, name: str = "") -> QPushButton:
        """A button that does what the action does, and is enabled when it is."""
        button = QPushButton(name or action.text().replace("&", ""))
        button.setObjectName("primary" if primary else "plain")
        if not action.icon().isNull():
            button.setIcon(action.icon())
        button.clicked.connect(action.trigger)

        def follow() -> None:
            button.setEnabled(action.isEnabled())
            button.setText(name or action.text().replace("&", ""))
            keys = action.shortcut().toString()
            button.setToolTip(plain_tip(action.toolTip() + (f" ({keys})" if keys else "")))

        action.changed.connect(follow)
        follow()
        self._buttons.addWidget(button)
        return button

    def add_at_end(self, widget: QWidget) -> None:
        """Add a widget at the right end."""
        self._end.addWidget(widget)

    def show_device(self, text: str, state: str, tip: str = "") -> None:
        """Name the device (or what is going on) and the state of the engine."""
        if self._device.text() != text:
            self._device.setText(text)
        self.chip.setToolTip(plain_tip(tip))
        self.chip.setAccessibleName(self.tr("Device: {text}").format(text=text))
        set_styled(self._dot, "state", state)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._place_cost()

    def _place_cost(self) -> None:
        """The first thing to give way where there is little room: before the menus do."""
        self.cost.setVisible(self._has_cost and self.width() >= _COST_FROM_PX)

    def show_cost(self, percent: float | None, definition: str = "") -> None:
        """What measuring costs, where it was measured."""
        self._has_cost = percent is not None
        self._place_cost()
        if percent is not None:
            self.cost.setText(self.tr("measuring costs {percent:.1f} %").format(percent=percent))
            self.cost.setToolTip(plain_tip(definition))

    def show_name(self, name: str) -> None:
        """Show the name of the edited configuration without emitting."""
        if name != self.name.text():
            self.name.setText(name)

    def show_preset(self, title: str) -> None:
        """Show where the configuration came from."""
        text = title or self.tr("Choose a preset")
        shown = self.preset.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, self.preset.width() - 44)
        self.preset.setText(shown.replace("&", "&&") + "  ▾")

    def pop_presets(self) -> None:
        """Open the menu of presets under its button."""
        self.preset_menu.popup(self.preset.mapToGlobal(self.preset.rect().bottomLeft() + QPoint(0, 2)))
