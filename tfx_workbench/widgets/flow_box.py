"""A widget that sets its children in rows and wraps them like words.

It places them itself: a `QLayout` written in Python leaves it open whether Python or Qt deletes the layout's items, and
crashes when both do. A child with the property `fullRow` gets a row to itself, over the whole width.
"""

from __future__ import annotations

from PySide6.QtCore import QEvent, QRect, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QSizePolicy, QWidget


class FlowBox(QWidget):
    """Children from left to right, a new row where the width ends; the height follows from the width."""

    def __init__(self, parent: QWidget | None = None, spacing: int = 8, row_spacing: int = 4) -> None:
        super().__init__(parent)
        self._flow: list[QWidget] = []
        self._spacing, self._row_spacing = spacing, row_spacing
        policy = QSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)

    def add(self, widget: QWidget) -> None:
        """Set a child after the others."""
        was_hidden = widget.testAttribute(Qt.WidgetAttribute.WA_WState_ExplicitShowHide) and widget.isHidden()
        widget.setParent(self)
        widget.setVisible(not was_hidden)
        self._flow.append(widget)
        self.updateGeometry()

    def hasHeightForWidth(self) -> bool:
        return True

    def heightForWidth(self, width: int) -> int:
        return self._arrange(width, move=False)

    def sizeHint(self) -> QSize:
        return QSize(self.minimumSizeHint().width(), self._arrange(max(self.width(), 1), move=False))

    def minimumSizeHint(self) -> QSize:
        widths = [_hint(w).width() for w in self._flow if not w.isHidden() and not w.property("fullRow")]
        return QSize(max(widths, default=0), self._arrange(max(self.width(), 1), move=False))

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._arrange(self.width(), move=True)

    def event(self, event: QEvent) -> bool:
        """A child was shown, hidden, or wants another size."""
        if event.type() == QEvent.Type.LayoutRequest:
            self._arrange(self.width(), move=True)
            self.updateGeometry()
            return True
        return super().event(event)

    def _arrange(self, width: int, *, move: bool) -> int:
        """Place the children in that width (or only pretend to); returns the height that they need."""
        x = y = row_height = 0
        for widget in self._flow:
            if widget.isHidden():
                continue
            size = _size_in(widget, width)
            if x > 0 and x + size.width() > width:
                x, y, row_height = 0, y + row_height + self._row_spacing, 0
            if move:
                widget.setGeometry(QRect(x, y, size.width(), size.height()))
            x += size.width() + self._spacing
            row_height = max(row_height, size.height())
        return y + row_height


def _hint(widget: QWidget) -> QSize:
    return widget.sizeHint().expandedTo(widget.minimumSizeHint()).expandedTo(widget.minimumSize())


def _size_in(widget: QWidget, width: int) -> QSize:
    """The size of a child in a row of that width."""
    hint = _hint(widget).boundedTo(widget.maximumSize())
    if widget.property("fullRow"):
        height = widget.heightForWidth(width) if widget.hasHeightForWidth() else hint.height()
        return QSize(width, height)
    return QSize(min(hint.width(), width), hint.height())
