"""A segmented toggle: one choice of a few side by side, the rest behind "…".

Arrow keys move the choice, Tab enters at the chosen segment. What does not fit the other choices is greyed, with the
reason as its tool tip.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QAction, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QMenu, QPushButton, QSizePolicy, QWidget

from tfx_workbench.widgets.words import plain_tip

_PADDING = 8  # px left and right of a segment's word
_HEIGHT = 24


@dataclasses.dataclass(frozen=True)
class Segment:
    """One choice: its value, the word on the toggle, and what hovering says (plain paragraphs)."""

    value: str
    word: str
    tip: tuple[str, ...] = ()
    name: str = ""  # the full name, for screen readers and the overflow menu


class Segmented(QWidget):
    """Emits `chosen(value)` when the user picks a segment; `set_value` shows one without emitting."""

    chosen = Signal(str)

    def __init__(self, segments: Sequence[Segment], label: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._segments = tuple(segments)
        self._value = self._segments[0].value if self._segments else ""
        self._blocked: Mapping[str, str] = {}
        self._visible: list[str] = []
        self.setAccessibleName(label)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._buttons = {s.value: self._button(s) for s in self._segments}
        self._more = QPushButton("…", self)
        self._more.setObjectName("segment")
        self._more.setAccessibleName(self.tr("{label}: more").format(label=label))
        self._more.setToolTip(self.tr("More choices"))
        self._more.setProperty("place", "last")
        self._menu = QMenu(self._more)
        self._menu.aboutToShow.connect(self._fill_menu)
        self._more.clicked.connect(self._pop_menu)
        self._refresh()

    def _button(self, segment: Segment) -> QPushButton:
        button = QPushButton(segment.word, self)
        button.setObjectName("segment")
        button.setCheckable(True)
        button.setAccessibleName(segment.name or segment.word)
        button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        button.clicked.connect(lambda _=False, value=segment.value: self._pick(value))
        button.installEventFilter(self)
        return button

    # ------------------------------------------------------------------ state

    @property
    def value(self) -> str:
        """The value of the chosen segment."""
        return self._value

    def segment(self, value: str) -> QPushButton:
        """The button of a segment. Raises `KeyError` where there is none."""
        return self._buttons[value]

    def set_value(self, value: str) -> None:
        """Show `value` as chosen; a value that is no segment shows none."""
        if value != self._value:
            self._value = value
            self._lay_out()
        self._refresh()

    def set_blocked(self, blocked: Mapping[str, str]) -> None:
        """Grey the segments named in `blocked`; the reasons are their tool tips."""
        if blocked != self._blocked:
            self._blocked = dict(blocked)
            self._refresh()

    def is_free(self, value: str) -> bool:
        """Whether a value may be chosen."""
        return value not in self._blocked

    def visible_values(self) -> list[str]:
        """The values that are segments at this width; the others are behind "…"."""
        return list(self._visible)

    def _pick(self, value: str) -> None:
        if value in self._blocked and value != self._value:
            return
        changed = value != self._value
        self.set_value(value)
        if changed:
            self.chosen.emit(value)

    def _refresh(self) -> None:
        for segment in self._segments:
            button = self._buttons[segment.value]
            reason = self._blocked.get(segment.value, "")
            is_chosen = segment.value == self._value
            button.setChecked(is_chosen)
            button.setEnabled(not reason or is_chosen)
            button.setFocusPolicy(Qt.FocusPolicy.StrongFocus if is_chosen else Qt.FocusPolicy.NoFocus)
            button.setToolTip(plain_tip(*((reason,) if reason else ()), *segment.tip))

    # ------------------------------------------------------------------ layout

    def sizeHint(self) -> QSize:
        return QSize(sum(self._natural(s.value) for s in self._segments), _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        widest = max((self._natural(s.value) for s in self._segments), default=0)
        return QSize(widest + (self._natural_more() if len(self._segments) > 1 else 0), _HEIGHT)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._lay_out()

    def changeEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        super().changeEvent(event)
        if event.type() in (event.Type.FontChange, event.Type.StyleChange):
            self._lay_out()

    def _natural(self, value: str) -> int:
        button = self._buttons[value]
        return button.fontMetrics().horizontalAdvance(button.text()) + 2 * _PADDING

    def _natural_more(self) -> int:
        return self._more.fontMetrics().horizontalAdvance("…") + 2 * _PADDING

    def _lay_out(self) -> None:
        """Show as many segments as fit, the chosen one always; spare width is shared out evenly."""
        values = self._fitting()
        overflow = len(values) < len(self._segments)
        widths = [self._natural(v) for v in values] + ([self._natural_more()] if overflow else [])
        spare = max(0, self.width() - sum(widths)) // max(1, len(widths))
        shown: list[QPushButton] = [self._buttons[v] for v in values] + ([self._more] if overflow else [])
        x = 0
        for i, (button, width) in enumerate(zip(shown, widths, strict=True)):
            last = i == len(shown) - 1
            button.setGeometry(QRect(x, 0, self.width() - x if last else width + spare, self.height()))
            x += width + spare
            _place(button, first=i == 0, last=last)
        for button in [*self._buttons.values(), self._more]:
            button.setVisible(button in shown)
        self._visible = values

    def _fitting(self) -> list[str]:
        values = [s.value for s in self._segments]
        if sum(map(self._natural, values)) <= self.width() or len(values) < 2:
            return values
        room = self.width() - self._natural_more()
        chosen = [self._value] if self._value in values else []
        room -= sum(map(self._natural, chosen))
        kept = set(chosen)
        for value in values:
            if value in kept:
                continue
            room -= self._natural(value)
            if room < 0:
                break
            kept.add(value)
        return [v for v in values if v in kept]

    # ------------------------------------------------------------------ the rest, behind "…"

    def _fill_menu(self) -> None:
        self._menu.clear()
        self._menu.setToolTipsVisible(True)
        for segment in self._segments:
            if segment.value not in self._visible:
                action = QAction(segment.name or segment.word, self._menu)
                reason = self._blocked.get(segment.value, "")
                action.setEnabled(not reason)
                action.setToolTip(plain_tip(*((reason,) if reason else ()), *segment.tip))
                action.triggered.connect(lambda _=False, value=segment.value: self._pick(value))
                self._menu.addAction(action)

    def _pop_menu(self) -> None:
        self._menu.popup(self._more.mapToGlobal(self._more.rect().bottomLeft()))

    # ------------------------------------------------------------------ keys

    def eventFilter(self, watched, event) -> bool:  # type: ignore[no-untyped-def]
        pressed = isinstance(event, QKeyEvent) and event.type() == QKeyEvent.Type.KeyPress
        if pressed and watched in self._buttons.values():
            step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
            if step:
                self._step(step)
                return True
        return super().eventFilter(watched, event)

    def _step(self, step: int) -> None:
        """Move the choice to the next legal segment in that direction, those behind "…" included."""
        values = [s.value for s in self._segments]
        start = values.index(self._value) if self._value in values else 0
        for i in range(start + step, len(values) if step > 0 else -1, step):
            if values[i] not in self._blocked:
                self._pick(values[i])
                self._buttons[values[i]].setFocus(Qt.FocusReason.OtherFocusReason)
                return

    def setFocus(self, *args) -> None:  # type: ignore[no-untyped-def]
        """Give the focus to the chosen segment."""
        button = self._buttons.get(self._value) or next(iter(self._buttons.values()))
        button.setFocus(*(args or (Qt.FocusReason.OtherFocusReason,)))


def _place(button: QPushButton, *, first: bool, last: bool) -> None:
    """Tell the style sheet which corners of the segment are round."""
    place = "only" if first and last else "first" if first else "last" if last else "middle"
    if button.property("place") != place:
        button.setProperty("place", place)
        button.style().unpolish(button)
        button.style().polish(button)
