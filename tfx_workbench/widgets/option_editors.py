"""The editors of options, one a kind: `show_value(value)` shows, `edited(value)` is emitted; None is automatic."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QCheckBox, QComboBox, QLineEdit, QPushButton, QSizePolicy, QWidget

from tfx_engine.protocol.options import OptionCard
from tfx_workbench.widgets.flow_box import FlowBox
from tfx_workbench.widgets.segmented import Segment, Segmented
from tfx_workbench.widgets.words import shown

_FIELD_HEIGHT = 24
_ARROW = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter


class NumberEdit(QLineEdit):
    """A number as text. Up and Down step by one, Page Up and Down by ten; empty means automatic where that is legal."""

    edited = Signal(object)

    def __init__(self, card: OptionCard, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._card = card
        self.setFixedHeight(_FIELD_HEIGHT)
        if card.optional:
            self.setPlaceholderText(self.tr("auto"))
        digits = max(4, min(9, len(as_text(card.default)) + 1)) if card.default is not None else 5
        self.setFixedWidth(self.fontMetrics().horizontalAdvance("0") * digits + 20)
        self.textEdited.connect(self._emit)

    def show_value(self, value: Any) -> None:
        text = "" if value is None else as_text(value)
        being_typed = self.hasFocus() and self.value() == value  # "1." on the way to "1.5" stays as it is
        if text != self.text() and not being_typed:
            self.setText(text)

    def value(self) -> Any:
        """The number typed, the text where it is none, None where it is empty."""
        text = self.text().strip().replace(",", "").replace("_", "")
        if not text:
            return None
        try:
            number = float(text)
        except ValueError:
            return self.text().strip()
        whole = self._card.kind == "int" and number.is_integer() and abs(number) < 2**63
        return (int(text) if text.lstrip("+-").isdigit() else int(number)) if whole else number

    def _emit(self) -> None:
        self.edited.emit(self.value())

    def keyPressEvent(self, event: QKeyEvent) -> None:
        steps = {Qt.Key.Key_Up: 1, Qt.Key.Key_Down: -1, Qt.Key.Key_PageUp: 10, Qt.Key.Key_PageDown: -10}
        step = steps.get(Qt.Key(event.key()))
        value = self.value()
        if step is None or not isinstance(value, (int, float)):
            super().keyPressEvent(event)
            return
        self.setText(as_text(self._stepped(value, step)))
        self._emit()

    def _stepped(self, value: float, step: int) -> float:
        if self._card.kind == "int":
            moved: float = int(value) + step
        else:  # a tenth of the leading digit's place, so that 0.003 moves by 0.0001
            moved = float(f"{value + step * 10.0 ** (_exponent(value) - 1):.6g}")
        low = -float("inf") if self._card.low is None else self._card.low
        high = float("inf") if self._card.high is None else self._card.high
        return type(moved)(min(high, max(low, moved)))


class TextEdit(QLineEdit):
    """A text; empty means automatic where that is legal."""

    edited = Signal(object)

    def __init__(self, card: OptionCard, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._card = card
        self.setFixedHeight(_FIELD_HEIGHT)
        self.setMinimumWidth(90)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        if card.optional:
            self.setPlaceholderText(shown(card.automatic))
        self.textEdited.connect(self._emit)

    def show_value(self, value: Any) -> None:
        text = "" if value is None else str(value)
        if text != self.text() and not (self.hasFocus() and text == self.text().strip()):
            self.setText(text)

    def _emit(self, text: str) -> None:
        self.edited.emit(text if text or not self._card.optional else None)


class Switch(QCheckBox):
    """True or false."""

    edited = Signal(object)

    def __init__(self, card: OptionCard, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(_FIELD_HEIGHT)
        self.clicked.connect(lambda on: self.edited.emit(on))

    def show_value(self, value: Any) -> None:
        self.setChecked(value is True)


class AutomaticSwitch(Segmented):
    """True, false, or automatic."""

    edited = Signal(object)
    _VALUES = {"auto": None, "on": True, "off": False}

    def __init__(self, card: OptionCard, parent: QWidget | None = None) -> None:
        words = {"auto": self.tr("auto"), "on": self.tr("on"), "off": self.tr("off")}
        super().__init__([Segment(value, word) for value, word in words.items()], shown(card.label), parent)
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        self.chosen.connect(lambda value: self.edited.emit(self._VALUES[value]))

    def show_value(self, value: Any) -> None:
        self.set_value(next((name for name, v in self._VALUES.items() if v is value), ""))


class ChoiceBox(QComboBox):
    """One of a few words. The wheel scrolls the pane, not the choice."""

    edited = Signal(object)

    def __init__(self, card: OptionCard, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFixedHeight(_FIELD_HEIGHT)
        if card.optional:
            self.addItem(self.tr("auto"), None)
        for choice in card.choices:
            self.addItem(choice.replace("_", " "), choice)
        self.activated.connect(lambda index: self.edited.emit(self.itemData(index)))

    def show_value(self, value: Any) -> None:
        self.setCurrentIndex(self.findData(value))

    def wheelEvent(self, event) -> None:  # type: ignore[no-untyped-def]
        event.ignore()

    def paintEvent(self, event: QPaintEvent) -> None:
        super().paintEvent(event)
        with QPainter(self) as painter:  # the style's own arrow does not know the theme
            painter.setPen(self.palette().color(QPalette.ColorRole.PlaceholderText))
            painter.drawText(self.rect().adjusted(0, 0, -7, 0), _ARROW, "▾")


class ChoiceToggle(Segmented):
    """One of a few short words, side by side."""

    edited = Signal(object)

    def __init__(self, card: OptionCard, parent: QWidget | None = None) -> None:
        super().__init__([Segment(c, c.replace("_", " ")) for c in card.choices], shown(card.label), parent)
        self.chosen.connect(lambda value: self.edited.emit(value))

    def show_value(self, value: Any) -> None:
        self.set_value(value if isinstance(value, str) else "")


class NameSet(FlowBox):
    """Several names, each a small toggle; at least one stays on."""

    edited = Signal(object)

    def __init__(self, card: OptionCard, parent: QWidget | None = None) -> None:
        super().__init__(parent, spacing=4)
        self._buttons: dict[str, QPushButton] = {}
        for name in card.choices:
            button = QPushButton(name.replace("_", " "))
            button.setObjectName("chip")
            button.setCheckable(True)
            button.clicked.connect(self._emit)
            self.add(button)
            self._buttons[name] = button

    def show_value(self, value: Any) -> None:
        names = (value,) if isinstance(value, str) else tuple(value or ())
        for name, button in self._buttons.items():
            button.setChecked(name in names)

    def _emit(self) -> None:
        self.edited.emit([name for name, button in self._buttons.items() if button.isChecked()])


def make_editor(card: OptionCard, parent: QWidget) -> QWidget:
    """The editor for a kind of option."""
    kinds: dict[str, type[QWidget]] = {
        "bool": Switch, "int": NumberEdit, "float": NumberEdit, "choice": ChoiceBox, "set": NameSet, "str": TextEdit,
    }
    if card.kind == "bool" and card.optional:
        return AutomaticSwitch(card, parent)
    if card.kind == "choice" and len(card.choices) <= 4 and not card.optional:
        return ChoiceToggle(card, parent)
    return kinds[card.kind](card, parent)  # type: ignore[call-arg, arg-type]


def as_text(value: Any) -> str:
    """A value as a field shows it."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)


def _exponent(value: float) -> int:
    return int(f"{value:e}".partition("e")[2]) if value else 0
