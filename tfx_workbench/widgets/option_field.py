"""One option of the catalogue as a labelled field: a number, a choice, a set of names, a switch or a text.

A field passes on what the user typed, legal or not: the configuration judges it, and its problem appears beside the
field in words. So nothing typed is ever lost or silently clipped.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QWidget

from tfx_engine.protocol.options import OptionCard
from tfx_workbench.widgets.option_editors import ChoiceToggle, NameSet, TextEdit, as_text, make_editor
from tfx_workbench.widgets.restyling import set_styled
from tfx_workbench.widgets.words import plain_tip, shown


class OptionField(QWidget):
    """A label and its editor. Emits `edited(path, value)`; None means automatic."""

    edited = Signal(str, object)

    def __init__(self, card: OptionCard, path: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.card, self.path = card, path
        self._why_idle = ""
        self._editor = make_editor(card, self)
        self._editor.edited.connect(lambda value: self.edited.emit(path, value))  # type: ignore[attr-defined]
        self._label = QLabel(shown(card.label), self)
        self._label.setObjectName("optionLabel")
        self._label.setTextFormat(Qt.TextFormat.PlainText)
        self._label.setBuddy(self._editor)
        self.problem_label = ProblemLabel(parent)  # the form sets it below the field, over the whole width
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
        default = shown(card.automatic) if card.default is None else as_text(card.default)
        facts = " · ".join(filter(None, [shown(card.unit), limits, self.tr("default: {value}").format(value=default)]))
        self._tip = (shown(card.help), facts)
        self._say_tip("")
        name = shown(card.label)
        self._editor.setAccessibleName(f"{name} ({shown(card.unit)})" if card.unit else name)
        self._editor.setAccessibleDescription(shown(card.help))

    def _say_tip(self, first: str) -> None:
        for widget in (self._label, self._editor):
            widget.setToolTip(plain_tip(first, *self._tip))

    def is_named_by(self, words: Sequence[str]) -> bool:
        """Whether all these words, in small letters, are in its name or label."""
        text = f"{self.card.name} {self.card.label} {shown(self.card.label)}".lower()
        return all(word in text for word in words)

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

    def set_state(self, *, changed: bool, problem: str, warning: str = "") -> None:
        """Mark the field as changed against the default, and say what is wrong with it."""
        set_styled(self._label, "changed", changed)
        set_styled(self._editor, "wrong", bool(problem))
        self.problem_label.say(problem, warning)

    def set_idle(self, why: str) -> None:
        """Dim a field that is of no effect now, with the reason; "" where it is of effect."""
        if why != self._why_idle:
            self._why_idle = why
            set_styled(self._label, "idle", bool(why))
            set_styled(self._editor, "idle", bool(why))
            self._say_tip(why)

    def set_found(self, mark: str) -> None:
        """Mark the field as found by a search: "found", "hit" for what Enter means, or "" for neither."""
        set_styled(self._label, "mark", mark)


class ProblemLabel(QLabel):
    """What is wrong with a field, in words, or else what it is warned of; hidden where all is well."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("problem")
        self.setProperty("fullRow", True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setWordWrap(True)
        self.hide()

    def say(self, problem: str, warning: str = "") -> None:
        """Show the problem, the warning where there is none, or nothing where both are empty."""
        sentence = problem or warning
        set_styled(self, "warning", bool(warning and not problem))
        if sentence != self.text():
            self.setText(sentence)
        self.setVisible(bool(sentence))
