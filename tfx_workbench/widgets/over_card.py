"""A card that lies over the left part of what is beside it, with a shadow; Escape closes it."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QRect, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent
from PySide6.QtWidgets import QFrame, QGraphicsDropShadowEffect, QPushButton, QVBoxLayout, QWidget

from tfx_workbench.widgets.words import plain_tip


class OverCard(QFrame):
    """Lies in `parent` over `beside`, at most `width` wide, hidden at first. `column` takes what is on it."""

    closed = Signal()

    def __init__(self, beside: QWidget, parent: QWidget, width: int) -> None:
        super().__init__(parent)
        self.setObjectName("pagePane")
        self._beside, self._whole, self._width = beside, parent, width
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(20, 10, 8, 12)
        self.column.setSpacing(8)
        shadow = QGraphicsDropShadowEffect(self)
        shadow.setBlurRadius(28)
        shadow.setOffset(0, 4)
        shadow.setColor(QColor(0, 0, 0, 110))
        self.setGraphicsEffect(shadow)
        beside.installEventFilter(self)
        self.hide()

    def lay_over(self) -> None:
        """Show it, above everything else."""
        self._fit()
        self.show()
        self.raise_()

    def close_page(self) -> None:
        """Close it; `closed` tells who had the keyboard before."""
        self.hide()
        self.closed.emit()

    def small_button(self, sign: str, tip: str, do: Callable[[], object]) -> QPushButton:
        """A button of one sign, for the head."""
        button = QPushButton(sign)
        button.setObjectName("disclosure")
        button.setAccessibleName(tip)
        button.setToolTip(plain_tip(tip))
        button.setFixedSize(24, 24)
        button.clicked.connect(lambda _=False: do())
        return button

    def _fit(self) -> None:
        corner = self._beside.mapTo(self._whole, self._beside.rect().topLeft())
        width = min(self._width, self._beside.width())
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
