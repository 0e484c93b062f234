"""One line that is said at length where there is room, shorter where there is less, and never cut through a letter."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QWidget

from tfx_workbench.widgets.words import plain_tip


class FittingLabel(QLabel):
    """Shows the first of `show_texts` that fits; of the last one as much as fits, with "…". The tool tip says what it
    means, and the whole of it where it is not all shown."""

    def __init__(self, parent: QWidget | None = None, align: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignRight) -> None:
        super().__init__(parent)
        self._texts: tuple[str, ...] = ("",)
        self._meaning = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAlignment(align | Qt.AlignmentFlag.AlignVCenter)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    @property
    def whole(self) -> str:
        """The text at length."""
        return self._texts[0]

    @property
    def shortest(self) -> str:
        """The text that is said where there is least room."""
        return self._texts[-1]

    def show_texts(self, *texts: str, meaning: str = "") -> None:
        """At length first, then ever shorter. `meaning`: what it is, for the tool tip."""
        self._texts, self._meaning = texts, meaning
        self.setAccessibleName(texts[0])
        self._fit()

    def sizeHint(self) -> QSize:
        return QSize(self.fontMetrics().horizontalAdvance(self.whole) + 2, self.fontMetrics().height() + 1)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, self.fontMetrics().height() + 1)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._fit()
        super().resizeEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()
        super().changeEvent(event)

    def _fit(self) -> None:
        metrics = self.fontMetrics()
        text = next((t for t in self._texts if metrics.horizontalAdvance(t) <= self.width()), None)
        if text is None:
            text = metrics.elidedText(self._texts[-1], Qt.TextElideMode.ElideRight, self.width())
        if text != self.text():
            self.setText(text)
        self.setToolTip(plain_tip(*((self.whole,) if text != self.whole else ()), self._meaning))
