"""What the style sheet looks at, in a widget that is styled already: Qt looks again only when it is told to."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget


def restyle(widget: QWidget) -> None:
    """Have the style sheet look at a widget again."""
    widget.style().unpolish(widget)
    widget.style().polish(widget)


def set_styled(widget: QWidget, name: str, value: bool | str) -> None:
    """Give a property that the style sheet looks at this value; one that was never set is False, or empty."""
    if (widget.property(name) or type(value)()) != value:
        widget.setProperty(name, value)
        restyle(widget)
