"""One slot of the transformer: its title, the toggle over its techniques, the options of the chosen one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from tfx_engine.protocol.cards import SlotCard, TechniqueCard
from tfx_workbench.widgets.option_field import OptionField, ProblemLabel
from tfx_workbench.widgets.option_form import OptionForm
from tfx_workbench.widgets.segmented import Segment, Segmented
from tfx_workbench.widgets.words import plain_tip, shown

_COMMON = 2  # options that are shown without being asked for


@dataclasses.dataclass(frozen=True)
class FormState:
    """What a form shows, everything by key path such as `techniques.adapter.rank`.

    `blocked` maps (slot, technique) to the reason why it does not fit the other choices. `warnings` are said like
    problems, and nothing is marked as wrong.
    """

    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    problems: Mapping[str, str] = dataclasses.field(default_factory=dict)
    changed: frozenset[str] = frozenset()
    blocked: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    warnings: Mapping[str, str] = dataclasses.field(default_factory=dict)


class SlotRow(QWidget):
    """Emits `technique_chosen(slot, name)` and `edited(path, value)`.

    A slot with a single technique is a quiet line without a toggle. `extra` is a form that belongs under this slot
    whatever is chosen, as the number of heads under attention.
    """

    technique_chosen = Signal(str, str)
    edited = Signal(str, object)

    def __init__(
        self, slot: SlotCard, techniques: tuple[TechniqueCard, ...], extra: OptionForm | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.slot, self._cards = slot, {t.name: t for t in techniques}
        self._forms: dict[str, OptionForm] = {}
        self._extra = extra
        self._chosen = slot.default
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(4)
        self._column.addLayout(self._heading())
        self.toggle: Segmented | None = None
        if len(techniques) > 1:
            self.toggle = Segmented([_segment(t) for t in techniques], shown(slot.title), self)
            self.toggle.chosen.connect(lambda name: self.technique_chosen.emit(slot.name, name))
            self._column.addWidget(self.toggle)
        self._problem = ProblemLabel()
        self._column.addWidget(self._problem)
        if extra:
            extra.edited.connect(self.edited)
            self._column.addWidget(extra)

    def _heading(self) -> QHBoxLayout:
        line = QHBoxLayout()
        self._title = QLabel(shown(self.slot.title))
        self._title.setObjectName("slotTitle")
        self._title.setToolTip(plain_tip(shown(self.slot.summary)))
        self._note = QLabel()
        self._note.setObjectName("muted")
        self._note.setTextFormat(Qt.TextFormat.PlainText)
        self._single = QPushButton()  # names the only technique, and unfolds its options
        self._single.setObjectName("disclosure")
        self._single.setCheckable(True)
        self._single.toggled.connect(self._unfold)
        self._single.setVisible(len(self._cards) == 1)
        line.addWidget(self._title)
        line.addStretch(1)
        line.addWidget(self._note)
        line.addWidget(self._single)
        return line

    def _unfold(self, on: bool) -> None:
        for form in self._forms.values():
            form.expand(on)

    def set_note(self, text: str, tip: str = "") -> None:
        """A muted word at the right of the title, such as the share of weights that an adapter trains."""
        self._note.setText(text)
        self._note.setToolTip(plain_tip(tip))

    def show_state(self, state: FormState) -> None:
        """Show the chosen technique, its options, what is wrong and what does not fit."""
        path = f"techniques.{self.slot.name}.use"
        name = state.values.get(path, self.slot.default)
        if self.toggle:
            self.toggle.set_value(name)
            blocked = {n: reason for (slot, n), reason in state.blocked.items() if slot == self.slot.name}
            self.toggle.set_blocked(blocked)
        else:
            card = self._cards.get(name)
            self._single.setText((shown(card.short) if card else str(name)) + (" ▾" if card and card.options else ""))
            self._single.setEnabled(bool(card and card.options))
            self._single.setToolTip(plain_tip(*(_tip(card) if card else ())))
            self._single.setAccessibleName(f"{shown(self.slot.title)}: {shown(card.title) if card else name}")
        changed = any(p.startswith(f"techniques.{self.slot.name}.") for p in state.changed)
        if self._title.property("changed") != changed:
            self._title.setProperty("changed", changed)
            self._title.style().unpolish(self._title)
            self._title.style().polish(self._title)
        problem = state.problems.get(path, "") or state.problems.get(f"techniques.{self.slot.name}", "")
        self._problem.say(problem, state.warnings.get(path, ""))
        self._chosen = name
        self._show_options(name, state)

    def _show_options(self, name: str, state: FormState) -> None:
        card = self._cards.get(name)
        if card and card.options and name not in self._forms:  # a form is made when it is first needed
            common = _COMMON if self.toggle else 0
            form = OptionForm(card.options, f"techniques.{self.slot.name}", self, common)
            form.edited.connect(self.edited)
            self._forms[name] = form
            self._column.addWidget(form)
        for other, form in self._forms.items():
            if other == name:
                form.show_state(state.values, state.problems, state.changed, state.warnings)
            else:
                form.hide()
        if self._extra:
            self._extra.show_state(state.values, state.problems, state.changed, state.warnings)

    def field(self, path: str) -> OptionField | None:
        """The field of an option of the chosen technique."""
        form = self._forms.get(self._chosen)
        return form.fields.get(path) if form else None

    def matches(self, words: list[str]) -> str | None:
        """The name of the technique that a search for these words means, "" for the slot alone, None for neither."""
        if all(w in f"{self.slot.title} {self.slot.name} {shown(self.slot.title)}".lower() for w in words):
            return ""
        for card in self._cards.values():
            labels = (o.label for o in card.options)
            text = " ".join([card.name, card.title, card.short, shown(card.title), card.summary, *labels])
            if all(w in text.lower() for w in words):
                return card.name
        return None


def _tip(card: TechniqueCard) -> tuple[str, ...]:
    guide = card.guide
    choose = f"✓ {shown(guide.choose)}" if guide.choose else ""
    avoid = f"✗ {shown(guide.avoid)}" if guide.avoid else ""
    return tuple(filter(None, (f"{shown(card.title)}: {shown(card.summary)}", choose, avoid, card.paper)))


def _segment(card: TechniqueCard) -> Segment:
    return Segment(card.name, shown(card.short), _tip(card), shown(card.title))
