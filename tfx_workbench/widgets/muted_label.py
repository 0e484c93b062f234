"""A label in the quiet colour, whose text shows every character literally."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel


def muted_label(text: str = "") -> QLabel:
    """One, with that text."""
    label = QLabel(text)
    label.setObjectName("muted")
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label
