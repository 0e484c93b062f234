"""One quiet line for what the program has to say: it waits for nobody, and a warning stays until it is put away."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QWidget

from tfx_workbench.widgets.restyling import restyle

INFO, WARNING, BAD = "info", "warning", "bad"
_SHOWN_MS = 8000
_KEPT = 200


class MessageBar(QFrame):
    """Shows the newest message with at most one thing to do about it; keeps the last ones for the log."""

    said = Signal(str, str)  # level, text

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("messageBar")
        self.setAccessibleName(self.tr("Messages"))
        self.history: list[tuple[str, str]] = []
        self._act: Callable[[], None] | None = None
        self._text = self._resting = ""
        self._said_at = 0.0
        self._label = QLabel()
        self._label.setObjectName("message")
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setWordWrap(True)
        self._label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._action = QPushButton()
        self._action.setObjectName("disclosure")
        self._action.clicked.connect(self._do)
        self._dismiss = QPushButton(self.tr("Dismiss"))
        self._dismiss.setObjectName("disclosure")
        self._dismiss.clicked.connect(self.clear)
        keep = self._dismiss.sizePolicy()
        keep.setRetainSizeWhenHidden(True)
        self._dismiss.setSizePolicy(keep)
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 3, 6, 3)
        row.addWidget(self._label, 1)
        row.addWidget(self._action)
        row.addWidget(self._dismiss)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.clear)
        self.setMinimumHeight(28)  # always there, so that nothing jumps when something is said
        self.clear()

    def say(self, text: str, level: str = INFO, action: str = "", act: Callable[[], None] | None = None) -> None:
        """Show a message. Information goes by itself after a while; warnings and worse stay, and information that
        comes upon one that nobody can have read yet goes into the history alone.
        """
        self.history = [*self.history[-_KEPT:], (level, text)]
        self.said.emit(level, text)
        is_fresh = time.monotonic() - self._said_at < _SHOWN_MS / 1000
        if level == INFO and act is None and self._text and self.property("level") != INFO and is_fresh:
            return
        self._said_at = time.monotonic()
        self._label.setText(text)
        self._act = act
        self._text = text
        self._action.setText(action)
        self._action.setVisible(act is not None)
        self._dismiss.show()
        self._set_level(level)
        self._timer.stop()
        if level == INFO:
            self._timer.start(_SHOWN_MS)

    @property
    def text(self) -> str:
        """The message that is shown now; empty where none is."""
        return self._text

    def set_resting(self, text: str) -> None:
        """What stands there while there is no message."""
        self._resting = text
        if not self._text:
            self._label.setText(text)

    def withdraw(self, text: str) -> None:
        """Put this message away where it is the one that is shown: it is true no longer."""
        if text and self._text == text:
            self.clear()

    def clear(self) -> None:
        """Put the message away."""
        self._timer.stop()
        self._act = None
        self._text = ""
        self._label.setText(self._resting)
        self._action.hide()
        self._dismiss.hide()
        self._set_level("rest")

    def _set_level(self, level: str) -> None:
        if self.property("level") != level:
            self.setProperty("level", level)
            restyle(self)
            restyle(self._label)

    def _do(self) -> None:
        act = self._act
        self.clear()
        if act:
            act()
