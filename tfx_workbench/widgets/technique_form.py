"""The whole configuration as one form, made from the catalogue: techniques by slot, sizes, data and run settings."""

from __future__ import annotations

from collections.abc import Iterable

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from tfx_engine.protocol.cards import Catalogue
from tfx_engine.protocol.config import SECTIONS, TOP_CARDS
from tfx_engine.protocol.options import OptionCard, option_cards
from tfx_engine.protocol.tasks import TASKS
from tfx_workbench.widgets.option_form import OptionForm
from tfx_workbench.widgets.slot_row import FormState, SlotRow
from tfx_workbench.widgets.words import shown

_UNDER_ATTENTION = ("heads", "head_width")
_COMMON_RUN = ("batch", "warmup_steps", "measure_steps", "device")


class TechniqueForm(QWidget):
    """Emits `technique_chosen(slot, name)` and `edited(path, value)`; shows whatever `show_state` is given."""

    technique_chosen = Signal(str, str)
    edited = Signal(str, object)

    def __init__(self, catalogue: Catalogue, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("techniqueForm")
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(8)
        self.rows: dict[str, SlotRow] = {}
        self.forms: dict[str, OptionForm] = {}
        self._groups: dict[str, QLabel] = {}
        self._members: dict[str, list[QWidget]] = {}
        self._state = FormState()
        self._only_changed = False
        self._words: list[str] = []
        model_cards = _cards("model")
        heads = OptionForm([c for c in model_cards if c.name in _UNDER_ATTENTION], "model", self)
        self._add_sizes([c for c in model_cards if c.name not in _UNDER_ATTENTION], heads)
        self._add_slots(catalogue, heads)
        self._add_form(self.tr("Data"), "data", _cards("data"))
        self._add_run()
        self._column.addStretch(1)

    # ------------------------------------------------------------------ building

    def _add_sizes(self, cards: list[OptionCard], heads: OptionForm) -> None:
        self._add_form(self.tr("Sizes"), "model", cards, common=3)
        self.forms["heads"] = heads

    def _add_slots(self, catalogue: Catalogue, heads: OptionForm) -> None:
        for slot in catalogue.slots:
            row = SlotRow(slot, catalogue.in_slot(slot.name), heads if slot.name == "attention" else None, self)
            row.technique_chosen.connect(self.technique_chosen)
            row.edited.connect(self.edited)
            self.rows[slot.name] = row
            self._add(shown(slot.group), row)

    def _add_form(self, group: str, section: str, cards: Iterable[OptionCard], common: int | None = None) -> OptionForm:
        form = OptionForm(tuple(cards), section, self, common)
        form.edited.connect(self.edited)
        self.forms[section] = form
        self._add(group, form)
        return form

    def _add_run(self) -> None:
        """The settings everybody needs, the seed, and behind "more" the rest."""
        cards = {c.name: c for c in _cards("run")}
        seed = next(c for c in TOP_CARDS if c.name == "seed")
        top = OptionForm([seed], "", self)
        top.edited.connect(self.edited)
        self.forms["top"] = top
        common = [cards[n] for n in _COMMON_RUN]
        rest = [c for n, c in cards.items() if n not in _COMMON_RUN]
        self._add_form(self.tr("Run"), "run", [*common, *rest], common=len(common))
        self._add(self.tr("Run"), top)

    def _add(self, group: str, widget: QWidget) -> None:
        if group not in self._groups:
            label = QLabel(group.upper())
            label.setObjectName("groupTitle")
            label.setIndent(0)
            label.setAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignBottom)
            self._groups[group] = label
            self._members[group] = []
            self._column.addWidget(label)
        self._members[group].append(widget)
        self._column.addWidget(widget)

    # ------------------------------------------------------------------ showing

    def show_state(self, state: FormState) -> None:
        """Show a configuration with its problems and changes."""
        self._state = state
        for row in self.rows.values():
            row.show_state(state)
        for form in self.forms.values():
            form.show_state(state.values, state.problems, state.changed, state.warnings)
        # What says nothing for the chosen task shows again as soon as it differs from its default.
        task = TASKS.get(str(state.values.get("data.task")), TASKS["text"])
        others = (f"data.{card.name}" for card in _cards("data") if card.name not in ("task", *task.options))
        self.forms["data"].hide_fields(frozenset(
            path for path in others if path not in state.changed and path not in state.problems
        ))
        self._filter()

    def search(self, text: str) -> None:
        """Show only what the words name."""
        self._words = text.lower().split()
        self._filter()

    def show_only_changed(self, only: bool) -> None:
        """Show only what differs from the defaults."""
        self._only_changed = only
        self._filter()

    def best_match(self) -> tuple[str, str] | None:
        """(slot, technique) that the search means; the technique is "" where only the slot matched."""
        if not self._words:
            return None
        for slot, row in self.rows.items():
            name = row.matches(self._words)
            if name is not None:
                return slot, name
        return None

    def _filter(self) -> None:
        for group, members in self._members.items():
            visible = [w for w in members if self._wanted(w)]
            for widget in members:
                widget.setVisible(widget in visible)
            self._groups[group].setVisible(bool(visible))

    def _wanted(self, widget: QWidget) -> bool:
        filtered = bool(self._words) or self._only_changed
        if isinstance(widget, SlotRow):
            prefix = f"techniques.{widget.slot.name}."
            changed = any(p.startswith(prefix) for p in self._state.changed)
            if widget.slot.name == "attention":
                changed = changed or any(f"model.{n}" in self._state.changed for n in _UNDER_ATTENTION)
            found = not self._words or widget.matches(self._words) is not None
            return found and (changed or not self._only_changed)
        assert isinstance(widget, OptionForm)
        return not filtered or widget.narrow(self._words, self._state.changed if self._only_changed else None)


def _cards(section: str) -> tuple[OptionCard, ...]:
    return option_cards(SECTIONS[section])
