"""A segmented toggle: one choice of a few side by side; where they do not fit, the first ones and "…".

Nothing moves when something is chosen: the segments that fit are always the same, and the last place shows what was
chosen behind it. Arrow keys move the choice, Tab enters at the chosen segment, Down opens the list of all. What does
not fit the other choices is greyed, with the reason as its tool tip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QFont, QFontMetrics, QKeyEvent, QResizeEvent
from PySide6.QtWidgets import QPushButton, QSizePolicy, QWidget

from tfx_workbench.widgets.choice_popup import ChoicePopup, Segment
from tfx_workbench.widgets.restyling import set_styled
from tfx_workbench.widgets.words import plain_tip

__all__ = ["Segment", "Segmented"]

_PADDING = 6  # px left and right of a segment's word
_HEIGHT = 24
_LAST = 88  # px at most for the place that shows what was chosen behind "…"
_DOTS, _ARROW = "…", " ▾"


class Segmented(QWidget):
    """Emits `chosen(value)` when the user picks a segment; `set_value` shows one without emitting.

    With `lines`, the list of all choices also opens where every segment fits: it says what each is.
    """

    chosen = Signal(str)
    page_asked = Signal(str)

    def __init__(self, segments: Sequence[Segment], label: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._segments = {s.value: s for s in segments}
        self._value = segments[0].value if segments else ""
        self._blocked: Mapping[str, str] = {}
        self._reasons: dict[str, str] = {}  # what the tool tips say
        self._laid_out = QSize()
        self._found: frozenset[str] = frozenset()
        self._hit = ""
        self._bold = _bold(self)
        self._fit: list[str] = []
        self.setAccessibleName(label)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._buttons: dict[str, QPushButton] = {}
        self._rest = QPushButton(_DOTS, self)
        self._rest.setObjectName("segment")
        self._rest.setCheckable(True)
        self._rest.clicked.connect(self.open_list)
        self._rest.installEventFilter(self)
        self._rest.hide()
        self._lay_out()

    def _button(self, value: str) -> QPushButton:
        """The button of a segment, made when it is first needed."""
        button = self._buttons.get(value)
        if button is None:
            segment = self._segments[value]
            button = QPushButton(segment.word.replace("&", "&&"), self)
            button.setObjectName("segment")
            button.setCheckable(True)
            button.setAccessibleName(segment.name or segment.word)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            button.clicked.connect(lambda _=False: self._pick(value))
            button.installEventFilter(self)
            button.hide()
            self._buttons[value] = button
            self._refresh_button(value)
        return button

    # ------------------------------------------------------------------ state

    @property
    def value(self) -> str:
        """The value of the chosen segment."""
        return self._value

    def segment(self, value: str) -> QPushButton:
        """The button that shows a segment. Raises `KeyError` where there is none."""
        return self._rest if value == self._value and self._is_behind(value) else self._button(value)

    def set_value(self, value: str) -> None:
        """Show `value` as chosen; a value that is no segment shows none."""
        if value != self._value:
            self._value = value
            self._refresh()

    def set_blocked(self, blocked: Mapping[str, str]) -> None:
        """Grey the segments named in `blocked`; the reasons are their tool tips."""
        if blocked != self._blocked:
            self._blocked = dict(blocked)
            self._refresh()

    def set_found(self, found: frozenset[str], hit: str = "") -> None:
        """Mark what a search found; `hit` is the one that Enter would choose."""
        if (found, hit) != (self._found, self._hit):
            self._found, self._hit = found, hit
            self._refresh()

    def is_free(self, value: str) -> bool:
        """Whether a value may be chosen."""
        return value not in self._blocked

    def visible_values(self) -> list[str]:
        """The values that are to be seen at this width; the others are behind "…"."""
        return [*self._fit, *([self._shown_behind()] if self._shown_behind() else [])]

    def _is_behind(self, value: str) -> bool:
        return value in self._segments and value not in self._fit

    def _shown_behind(self) -> str:
        """What the last place shows: the hit of a search, or the chosen one, where that is behind it."""
        return next((v for v in (self._hit, self._value) if v and self._is_behind(v)), "")

    def _pick(self, value: str) -> None:
        if value in self._blocked and value != self._value:
            self._refresh_button(value)
            return
        changed = value != self._value
        self._value = value
        self._refresh()
        if changed:
            self.chosen.emit(value)

    def _refresh(self) -> None:
        for value in self._buttons:
            self._refresh_button(value)
        self._refresh_rest()

    def _refresh_button(self, value: str) -> None:
        button, segment, reason = self._buttons[value], self._segments[value], self._blocked.get(value, "")
        is_chosen = value == self._value
        first = next(iter(self._segments))
        takes_tab = is_chosen or (self._value not in self._segments and value == first)
        button.setChecked(is_chosen)
        button.setEnabled(not reason or is_chosen)
        button.setFocusPolicy(Qt.FocusPolicy.StrongFocus if takes_tab else Qt.FocusPolicy.NoFocus)
        if self._reasons.get(value) != reason:
            self._reasons[value] = reason
            button.setToolTip(plain_tip(reason, *segment.tip))
        set_styled(button, "mark", self._mark_of(value))

    def _refresh_rest(self) -> None:
        shown = self._segments.get(self._shown_behind())
        behind = self._is_behind(self._value)
        word = self._elided(shown.word) if shown else _DOTS
        self._rest.setText(word.replace("&", "&&"))
        self._rest.setChecked(behind)
        self._rest.setFocusPolicy(Qt.FocusPolicy.StrongFocus if behind else Qt.FocusPolicy.NoFocus)
        more = self.tr("More choices (Down opens the list)")
        self._rest.setToolTip(plain_tip(*(shown.tip if shown else ()), more))
        label = self.accessibleName()
        self._rest.setAccessibleName(
            shown.name or shown.word if shown else self.tr("{label}: more").format(label=label))
        hidden = {self._mark_of(v) for v in self._segments if self._is_behind(v)}
        set_styled(self._rest, "mark", "hit" if "hit" in hidden else "found" if "found" in hidden else "")

    def _mark_of(self, value: str) -> str:
        return "hit" if value == self._hit else "found" if value in self._found else ""

    # ------------------------------------------------------------------ layout

    def sizeHint(self) -> QSize:
        return QSize(sum(self._natural(s.word) for s in self._segments.values()), _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        widest = max((self._natural(s.word) for s in self._segments.values()), default=0)
        return QSize(min(widest, _LAST) + (self._natural(_DOTS) if len(self._segments) > 1 else 0), _HEIGHT)

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size() != self._laid_out:
            self._lay_out()

    def changeEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        super().changeEvent(event)
        if event.type() in (event.Type.FontChange, event.Type.StyleChange):
            self._bold = _bold(self)
            self._lay_out()

    def _natural(self, word: str) -> int:
        """The width of a word as it is when it is chosen, which is in bold."""
        return self._bold.horizontalAdvance(word) + 2 * _PADDING

    def _last(self, hidden: Sequence[str]) -> int:
        """The width of the last place: whatever is chosen behind it, it stays the same."""
        words = [self._natural(self._segments[v].word) for v in hidden]
        return max(self._natural(_DOTS), min(_LAST, max(words, default=0)))

    def _elided(self, text: str) -> str:
        """The text with an arrow, or where there is no room for both, as much of it as there is room for."""
        room = max(0, self._rest.width() - 2 * _PADDING + 4)
        if self._bold.horizontalAdvance(text + _ARROW) <= room:
            return text + _ARROW
        return self._bold.elidedText(text, Qt.TextElideMode.ElideRight, room)

    def _lay_out(self) -> None:
        """Show as many segments as fit, always the same ones; spare width is shared out evenly."""
        self._laid_out = self.size()
        before, self._fit = self._fit, self._fitting()
        hidden = [v for v in self._segments if v not in self._fit]
        widths = [self._natural(self._segments[v].word) for v in self._fit] + ([self._last(hidden)] if hidden else [])
        spare = max(0, self.width() - sum(widths)) // max(1, len(self._fit))
        shown = [self._button(v) for v in self._fit] + ([self._rest] if hidden else [])
        x = 0
        for i, (button, width) in enumerate(zip(shown, widths, strict=True)):
            last = i == len(shown) - 1
            button.setGeometry(QRect(x, 0, self.width() - x if last else width + spare, self.height()))
            x += width + spare
            _place(button, first=i == 0, last=last)
        for button in [*self._buttons.values(), self._rest]:
            button.setVisible(button in shown)
        if before != self._fit:
            self._refresh()
        else:
            self._refresh_rest()  # its words are cut to its width

    def _fitting(self) -> list[str]:
        values = list(self._segments)
        widths = [self._natural(s.word) for s in self._segments.values()]
        if sum(widths) <= self.width() or len(values) < 2:
            return values
        for many in range(len(values) - 1, 0, -1):
            if sum(widths[:many]) + self._last(values[many:]) <= self.width():
                return values[:many]
        return values[:1]

    # ------------------------------------------------------------------ the list of all

    def open_list(self) -> ChoicePopup | None:
        """Open the list of all choices, each with a line about it."""
        self._refresh_rest()  # a click has toggled it
        popup = ChoicePopup(self.accessibleName(), self)
        popup.show_choices(tuple(self._segments.values()), self._value, self._blocked)
        popup.chosen.connect(self._pick_from_list)
        popup.page_asked.connect(self.page_asked)
        popup.pop(self)
        return popup

    def _pick_from_list(self, value: str) -> None:
        self._pick(value)
        self.setFocus(Qt.FocusReason.PopupFocusReason)

    # ------------------------------------------------------------------ keys

    def eventFilter(self, watched, event) -> bool:  # type: ignore[no-untyped-def]
        if isinstance(event, QKeyEvent) and event.type() == QKeyEvent.Type.KeyPress:
            key = Qt.Key(event.key())
            step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(key)
            if step:
                self._step(step)
                return True
            if key == Qt.Key.Key_Down and self._lists():
                self.open_list()
                return True
        return bool(super().eventFilter(watched, event))

    def _lists(self) -> bool:
        return len(self._fit) < len(self._segments) or any(s.line for s in self._segments.values())

    def _step(self, step: int) -> None:
        """Move the choice to the next legal segment in that direction, those behind "…" included."""
        values = list(self._segments)
        start = values.index(self._value) if self._value in values else 0
        for i in range(start + step, len(values) if step > 0 else -1, step):
            if values[i] not in self._blocked:
                self._pick(values[i])
                self.segment(values[i]).setFocus(Qt.FocusReason.OtherFocusReason)
                return

    def setFocus(self, *args) -> None:  # type: ignore[no-untyped-def]
        """Give the focus to the chosen segment."""
        value = self._value if self._value in self._segments else next(iter(self._segments))
        self.segment(value).setFocus(*(args or (Qt.FocusReason.OtherFocusReason,)))


def _bold(widget: QWidget) -> QFontMetrics:
    font = QFont(widget.font())
    font.setWeight(QFont.Weight.DemiBold)
    return QFontMetrics(font)


def _place(button: QPushButton, *, first: bool, last: bool) -> None:
    """Tell the style sheet which corners of the segment are round."""
    set_styled(button, "place", "only" if first and last else "first" if first else "last" if last else "middle")
