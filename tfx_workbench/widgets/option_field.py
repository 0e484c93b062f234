"""One option of the catalogue as a labelled field: a number, a choice, a set of names, a switch or a text.

A field passes on what the user typed, legal or not: the configuration judges it, and its problem appears beside the
field in words. So nothing typed is ever lost or silently clipped.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QWidget,
)

from tfx_engine.protocol.options import OptionCard
from tfx_workbench.widgets.flow_layout import FlowLayout
from tfx_workbench.widgets.segmented import Segment, Segmented
from tfx_workbench.widgets.words import plain_tip, shown

_FIELD_HEIGHT = 24


class OptionField(QWidget):
    """A label and its editor. Emits `edited(path, value)`; None means automatic."""

    edited = Signal(str, object)

    def __init__(self, card: OptionCard, path: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.card, self.path = card, path
        self._editor = make_editor(card, self)
        self._editor.edited.connect(lambda value: self.edited.emit(path, value))  # type: ignore[attr-defined]
        self._label = QLabel(shown(card.label))
        self._label.setObjectName("optionLabel")
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setBuddy(self._editor)
        self.problem_label = ProblemLabel()  # the form sets it below the field, over the whole width
        self.setProperty("fullRow", isinstance(self._editor, (TextEdit, NameSet, ChoiceToggle)))
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self._label)
        row.addWidget(self._editor)
        self._describe()

    def _describe(self) -> None:
        """Hovering says what the option is, its limits, its default and what leaving it empty means."""
        card = self.card
        limits = ""
        if card.low is not None and card.high is not None and card.kind in ("int", "float"):
            limits = self.tr("{low} to {high}").format(low=f"{card.low:,.12g}", high=f"{card.high:,.12g}")
        default = shown(card.automatic) if card.default is None else _as_text(card.default)
        facts = " · ".join(filter(None, [shown(card.unit), limits, self.tr("default: {value}").format(value=default)]))
        tip = plain_tip(shown(card.help), facts)
        self._label.setToolTip(tip)
        self._editor.setToolTip(tip)
        name = shown(card.label)
        self._editor.setAccessibleName(f"{name} ({shown(card.unit)})" if card.unit else name)
        self._editor.setAccessibleDescription(shown(card.help))

    @property
    def editor(self) -> QWidget:
        """The widget in which the value is edited."""
        return self._editor

    @property
    def problem(self) -> str:
        """The sentence that is shown beside the field, empty where all is well."""
        return self.problem_label.text()

    def set_value(self, value: Any) -> None:
        """Show a value without emitting."""
        self._editor.show_value(value)  # type: ignore[attr-defined]

    def set_state(self, *, changed: bool, problem: str) -> None:
        """Mark the field as changed against the default, and say what is wrong with it."""
        if self._label.property("changed") != changed:
            _set_property(self._label, "changed", changed)
        if (self._editor.property("wrong") or False) != bool(problem):
            _set_property(self._editor, "wrong", bool(problem))
        self.problem_label.say(problem)


class ProblemLabel(QLabel):
    """What is wrong with a field, in words; hidden where all is well."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("problem")
        self.setProperty("fullRow", True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.hide()

    def say(self, sentence: str) -> None:
        """Show the sentence, or nothing where it is empty."""
        if sentence != self.text():
            self.setText(sentence)
        self.setVisible(bool(sentence))


class NumberEdit(QLineEdit):
    """A number as text. Up and Down step by one, Page Up and Down by ten; empty means automatic where that is legal."""

    edited = Signal(object)

    def __init__(self, card: OptionCard, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._card = card
        self.setFixedHeight(_FIELD_HEIGHT)
        if card.optional:
            self.setPlaceholderText(self.tr("auto"))
        digits = max(4, min(9, len(_as_text(card.default)) + 1)) if card.default is not None else 5
        self.setFixedWidth(self.fontMetrics().horizontalAdvance("0") * digits + 20)
        self.textEdited.connect(self._emit)

    def show_value(self, value: Any) -> None:
        text = "" if value is None else _as_text(value)
        if self.value() != value or not self.hasFocus():
            if text != self.text():
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
        self.setText(_as_text(self._stepped(value, step)))
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


class ChoiceToggle(Segmented):
    """One of a few short words, side by side."""

    edited = Signal(object)

    def __init__(self, card: OptionCard, parent: QWidget | None = None) -> None:
        super().__init__([Segment(c, c.replace("_", " ")) for c in card.choices], shown(card.label), parent)
        self.chosen.connect(lambda value: self.edited.emit(value))

    def show_value(self, value: Any) -> None:
        self.set_value(value if isinstance(value, str) else "")


class NameSet(QWidget):
    """Several names, each a small toggle; at least one stays on."""

    edited = Signal(object)

    def __init__(self, card: OptionCard, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        flow = FlowLayout(self, spacing=4)
        self._buttons: dict[str, QPushButton] = {}
        for name in card.choices:
            button = QPushButton(name.replace("_", " "))
            button.setObjectName("chip")
            button.setCheckable(True)
            button.clicked.connect(self._emit)
            flow.addWidget(button)
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


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value))
    return str(value)


def _exponent(value: float) -> int:
    return int(f"{value:e}".partition("e")[2]) if value else 0


def _set_property(widget: QWidget, name: str, value: bool) -> None:
    """Set a property that the style sheet looks at."""
    widget.setProperty(name, value)
    widget.style().unpolish(widget)
    widget.style().polish(widget)
