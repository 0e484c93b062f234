"""A quiet card's head: title left, choices beside it, and right of them the one sentence that matters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QEvent, QRect, QSize, Qt, Signal
from PySide6.QtGui import QAction, QActionGroup, QResizeEvent
from PySide6.QtWidgets import QLabel, QMenu, QSizePolicy, QToolButton, QWidget

from tfx_workbench.exhibits.kind import Choice
from tfx_workbench.widgets.words import plain_tip, shown

_GAP = 8  # px between the parts of a line
_ARROW = " ▾"
_WIDER = 24  # px of room to spare before a sentence returns to the title's line


class ElidedLabel(QLabel):
    """One line of plain text, cut with "…" where there is no room; the whole of it is then the tool tip."""

    def __init__(self, parent: QWidget | None = None, align: Qt.AlignmentFlag = Qt.AlignmentFlag.AlignLeft) -> None:
        super().__init__(parent)
        self._whole = ""
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setAlignment(align | Qt.AlignmentFlag.AlignVCenter)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def whole_text(self) -> str:
        """All of the text, also of what is cut off."""
        return self._whole

    def set_text(self, text: str) -> bool:
        """Show a text; returns whether its width differs from what was there."""
        if text == self._whole:
            return False
        before = self.natural_width()
        self._whole = text
        self.setAccessibleName(text)
        self._cut()
        return self.natural_width() != before

    def natural_width(self) -> int:
        """Pixels that the whole text takes."""
        return self.fontMetrics().horizontalAdvance(self._whole) + 2

    def sizeHint(self) -> QSize:
        return QSize(self.natural_width(), self.fontMetrics().height() + 2)

    def minimumSizeHint(self) -> QSize:
        return QSize(0, self.fontMetrics().height() + 2)

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._cut()
        super().resizeEvent(event)

    def changeEvent(self, event: QEvent) -> None:
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._cut()
        super().changeEvent(event)

    def _cut(self) -> None:
        text = self.fontMetrics().elidedText(self._whole, Qt.TextElideMode.ElideRight, self.width())
        if text != self.text():
            self.setText(text)
        self.setToolTip(plain_tip(self._whole) if text != self._whole else "")


class ChoiceButton(QToolButton):
    """A flat button that names what is chosen and opens a menu of what else there is."""

    chosen = Signal(str, str)  # name of the choice, key of the option

    def __init__(self, choice: Choice, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choice = choice
        self.setObjectName("choice")
        self.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        menu = QMenu(self)
        group = QActionGroup(menu)
        self._actions: dict[str, QAction] = {}
        self._chosen = ""
        for key, title in choice.options:
            action = group.addAction(shown(title))
            action.setCheckable(True)
            action.triggered.connect(lambda _=False, k=key: self._pick(k))
            menu.addAction(action)
            self._actions[key] = action
        self.setMenu(menu)
        self.show_option(choice.default)

    def show_option(self, key: str) -> None:
        """Name `key` as what is chosen, without a signal."""
        self._chosen = shown(dict(self._choice.options)[key])
        self._actions[key].setChecked(True)
        self.setText(self._chosen + _ARROW)
        self.setAccessibleName(f"{shown(self._choice.title)}: {self._chosen}")
        self.setToolTip(plain_tip(f"{shown(self._choice.title)}: {self._chosen}"))

    def natural_width(self) -> int:
        """Pixels that the whole of what is chosen takes."""
        self.setText(self._chosen + _ARROW)
        return self.sizeHint().width()

    def cut_to(self, room: int) -> None:
        """Cut what is chosen to fit into so many pixels."""
        natural = self.natural_width()
        if natural > room:
            words = room - (natural - self.fontMetrics().horizontalAdvance(self._chosen))
            text = self.fontMetrics().elidedText(self._chosen, Qt.TextElideMode.ElideRight, max(0, words))
            self.setText(text + _ARROW)

    def _pick(self, key: str) -> None:
        self.show_option(key)
        self.chosen.emit(self._choice.name, key)


class CardHeader(QWidget):
    """Title, choices and sentence in one line; the sentence takes a second line where there is no room for it."""

    chosen = Signal(str, str)

    def __init__(self, title: str, choices: Sequence[Choice] = (), parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = QLabel(title, self)
        self._title.setObjectName("cardTitle")
        self._title.setTextFormat(Qt.TextFormat.PlainText)
        self._buttons = {c.name: ChoiceButton(c, self) for c in choices}
        for button in self._buttons.values():
            button.chosen.connect(self.chosen)
        self._sentence = ElidedLabel(self, Qt.AlignmentFlag.AlignRight)
        self._sentence.setObjectName("muted")
        self._two_lines = False
        # No height for width: layouts would ask for the height at the width that they would like, not at what there is.
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def set_sentence(self, text: str) -> None:
        """The one sentence that matters."""
        if self._sentence.set_text(text):
            self._lay_out()

    def sentence(self) -> str:
        """What the sentence says."""
        return self._sentence.whole_text()

    def set_definitions(self, paragraphs: Sequence[str]) -> None:
        """What hovering over the title explains."""
        self._title.setToolTip(plain_tip(*paragraphs))

    def show_choices(self, choices: Mapping[str, str]) -> None:
        """Name what is chosen."""
        for name, button in self._buttons.items():
            button.show_option(choices[name])
        self._lay_out()

    # ------------------------------------------------------------------ layout

    def _line_height(self) -> int:
        return max([self._title.sizeHint().height(), *(b.sizeHint().height() for b in self._buttons.values())])

    def _left_width(self) -> int:
        return self._title.sizeHint().width() + sum(b.natural_width() + _GAP // 2 for b in self._buttons.values())

    def _needs_two_lines(self, width: int) -> bool:
        if not self._sentence.whole_text():
            return False
        room = width - self._left_width() - _GAP - (_WIDER if self._two_lines else 0)
        return self._sentence.natural_width() > room

    def sizeHint(self) -> QSize:
        second = self._sentence.sizeHint().height() if self._two_lines else 0
        return QSize(self._left_width() + 160, self._line_height() + second)

    def minimumSizeHint(self) -> QSize:
        return QSize(self._title.sizeHint().width() + 40 * bool(self._buttons), self.sizeHint().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        self._lay_out()
        super().resizeEvent(event)

    def _lay_out(self) -> None:
        before, self._two_lines = self._two_lines, self._needs_two_lines(self.width())
        if before != self._two_lines:
            self.updateGeometry()
        line = self._line_height()
        x = 0
        for widget in (self._title, *self._buttons.values()):
            hint = widget.sizeHint()
            width = hint.width()
            if isinstance(widget, ChoiceButton):
                width = min(widget.natural_width(), max(0, self.width() - x))
                widget.cut_to(width)
            widget.setGeometry(QRect(x, (line - hint.height()) // 2, width, hint.height()))
            x += width + _GAP // 2
        if self._two_lines:
            self._sentence.setGeometry(0, line, self.width(), self._sentence.sizeHint().height())
        else:
            x += _GAP // 2
            self._sentence.setGeometry(x, 0, max(0, self.width() - x), line)
