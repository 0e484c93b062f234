"""Which configurations a press of Run queues, as small toggles; the one that is edited is on."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout, QWidget

from tfx_workbench.widgets.flow_box import FlowBox
from tfx_workbench.widgets.words import plain_tip

_LONGEST = 24  # characters of a name on a chip


class ConfigChips(QWidget):
    """Emits `selected(index)`. Invisible where there is only one configuration."""

    selected = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        self._words = QLabel()
        self._words.setObjectName("muted")
        self._words.setWordWrap(True)
        column.addWidget(self._words)
        self._flow = FlowBox(spacing=4, row_spacing=4)
        column.addWidget(self._flow)
        self.buttons: list[QPushButton] = []
        self.hide()

    def show_configs(self, names: Sequence[str], current: int, wrong: Sequence[int]) -> None:
        """Show these names; those in `wrong` have problems."""
        self.setVisible(len(names) > 1)
        while len(self.buttons) < len(names):
            self._add_button(len(self.buttons))
        self._words.setText(self.tr("Run queues {count} configurations. Editing:").format(count=len(names)))
        for i, button in enumerate(self.buttons):
            button.setVisible(i < len(names))
            if i >= len(names):
                continue
            name = names[i]
            short = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
            button.setText(short.replace("&", "&&") + (" !" if i in wrong else ""))
            button.setChecked(i == current)
            button.setAccessibleName(name)
            button.setToolTip(plain_tip(name, self.tr("Something is wrong in this one.") if i in wrong else ""))

    def _add_button(self, index: int) -> None:
        button = QPushButton()
        button.setObjectName("chip")
        button.setCheckable(True)
        button.clicked.connect(lambda _=False: self._select(index))
        self._flow.add(button)
        self.buttons.append(button)

    def _select(self, index: int) -> None:
        for i, button in enumerate(self.buttons):
            button.setChecked(i == index)
        self.selected.emit(index)
