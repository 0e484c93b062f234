"""The whole configuration as one form, made from the catalogue: techniques by slot, sizes, data and run settings."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QVBoxLayout, QWidget

from tfx_engine.protocol.cards import Catalogue
from tfx_engine.protocol.config import SECTIONS, TOP_CARDS
from tfx_engine.protocol.options import OptionCard, option_cards
from tfx_workbench.widgets.form_group import FormGroup
from tfx_workbench.widgets.form_search import FormIndex, Hit, best, settings_of
from tfx_workbench.widgets.form_state import FormState
from tfx_workbench.widgets.option_form import OptionForm
from tfx_workbench.widgets.slot_row import SlotRow
from tfx_workbench.widgets.words import shown

_UNDER_ATTENTION = ("heads", "head_width")
_COMMON_RUN = ("batch", "warmup_steps", "measure_steps", "device")
_COMMON_DATA = 5


class TechniqueForm(QWidget):
    """Emits `technique_chosen(slot, name)`, `edited(path, value)` and what is asked for of a slot.

    In each group, the slots that everybody needs come first and the others wait behind "more". A slot that differs from
    its default, is a favourite, or has something wrong with it is always to be seen, and so is one that went back to
    its default just now: nothing disappears under the mouse. `arranged` says that groups or favourites changed.
    """

    technique_chosen = Signal(str, str)
    edited = Signal(str, object)
    page_asked = Signal(str, str)
    reset_asked = Signal(str)
    arranged = Signal()

    def __init__(self, catalogue: Catalogue, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("techniqueForm")
        self._catalogue = catalogue
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(8)
        self.rows: dict[str, SlotRow] = {}
        self.forms: dict[str, OptionForm] = {}
        self.groups: dict[str, FormGroup] = {}
        self._state = FormState()
        self._kept: set[str] = set()  # slots that stay in view
        self._only_changed = self._only_starred = False
        self._seen_changed: frozenset[str] = frozenset()  # all that was changed since only that is shown
        self._words: tuple[str, ...] = ()
        self._hits: list[Hit] = []
        self._at = 0
        model_cards = _cards("model")
        heads = OptionForm([c for c in model_cards if c.name in _UNDER_ATTENTION], "model", self)
        sizes = [c for c in model_cards if c.name not in _UNDER_ATTENTION]
        self._add_form("sizes", self.tr("Sizes"), "model", sizes, common=3)
        self.forms["heads"] = heads
        self._add_slots(catalogue, heads)
        self._add_form("data", self.tr("Data"), "data", _cards("data"), common=_COMMON_DATA)
        self._add_run()
        self._column.addStretch(1)
        self._filter()

    # ------------------------------------------------------------------ building

    def _add_slots(self, catalogue: Catalogue, heads: OptionForm) -> None:
        for slot in catalogue.slots:
            row = SlotRow(slot, catalogue.in_slot(slot.name), heads if slot.name == "attention" else None, self)
            row.technique_chosen.connect(self.technique_chosen)
            row.edited.connect(self.edited)
            row.page_asked.connect(self.page_asked)
            row.reset_asked.connect(self.reset_asked)
            row.star_asked.connect(self.star)
            self.rows[slot.name] = row
            self._group(slot.group, shown(slot.group)).add(row)

    def _add_form(
        self, key: str, title: str, section: str, cards: Iterable[OptionCard], common: int | None = None
    ) -> None:
        form = OptionForm(tuple(cards), section, self, common)
        form.edited.connect(self.edited)
        self.forms[section or "top"] = form
        self._group(key, title).add(form)

    def _add_run(self) -> None:
        """The settings everybody needs, behind "more" the rest, and the seed."""
        cards = {c.name: c for c in _cards("run")}
        common = [cards[n] for n in _COMMON_RUN]
        rest = [c for n, c in cards.items() if n not in _COMMON_RUN]
        self._add_form("run", self.tr("Run"), "run", [*common, *rest], common=len(common))
        self._add_form("run", self.tr("Run"), "", [c for c in TOP_CARDS if c.name == "seed"])

    def _group(self, key: str, title: str) -> FormGroup:
        if key not in self.groups:
            group = FormGroup(key, title, self)
            group.arranged.connect(self._on_arranged)
            self.groups[key] = group
            self._column.addWidget(group)
        return self.groups[key]

    # ------------------------------------------------------------------ showing

    def show_state(self, state: FormState) -> None:
        """Show a configuration with its problems and changes."""
        before = {name for name, row in self.rows.items() if row.changed}
        self._state = state
        self._seen_changed |= state.changed
        for row in self.rows.values():
            row.show_state(state)
        for form in self.forms.values():
            form.show_state(state.values, state.problems, state.changed, state.warnings)
        back = before - {name for name, row in self.rows.items() if row.changed}
        if len(back) > 1:  # that was no single choice but another configuration
            self._kept.clear()
        else:
            self._kept |= back
        self._filter()

    def _must_see(self, row: SlotRow) -> bool:
        return row.changed or row.slot.name in self._kept or self._is_said(row) or (
            row.slot.name == "attention" and any(f"model.{n}" in self._state.changed for n in _UNDER_ATTENTION))

    def _is_said(self, row: SlotRow) -> bool:
        """Whether something is wrong with a slot, or warned of."""
        return self._state.said_under(f"techniques.{row.slot.name}") or (
            row.slot.name == "attention" and any(self._state.said_under(f"model.{n}") for n in _UNDER_ATTENTION))

    def _filter(self) -> None:
        filtered = bool(self._words) or self._only_changed or self._only_starred
        for group in self.groups.values():
            visible: dict[QWidget, bool] = {}
            held: dict[QWidget, str] = {}
            for member in group.members:
                if isinstance(member, SlotRow):
                    rare = not (member.slot.common or member.starred or self._must_see(member))
                    if filtered:
                        visible[member] = self._passes(member)
                    else:
                        visible[member] = self._must_see(member) if group.is_folded else group.shows_more or not rare
                    if rare and not filtered and not group.is_folded:
                        held[member] = shown(member.slot.title).lower()
                    if visible[member]:
                        member.build()
                elif isinstance(member, OptionForm):
                    visible[member] = member.narrow(self._paths_in(member) if filtered or group.is_folded else None)
            group.show_members(visible, held)
            group.setVisible(not filtered or any(visible.values()))

    def _passes(self, row: SlotRow) -> bool:
        """Whether a slot is meant by what is searched for and filtered by."""
        if self._is_said(row):
            return True
        path = f"techniques.{row.slot.name}."
        paths = [f"model.{n}" for n in _UNDER_ATTENTION] if row.slot.name == "attention" else []
        found = not self._words or any(h.slot == row.slot.name or h.path in paths for h in self._hits)
        changed = not self._only_changed or any(p.startswith(path) or p in paths for p in self._seen_changed)
        return found and changed and (row.starred or not self._only_starred)

    def _paths_in(self, form: OptionForm) -> frozenset[str]:
        """The fields of a section that are to be seen although it is folded or filtered."""
        state = self._state
        said = {p for p in form.fields if p in state.problems or p in state.warnings}
        filtered = bool(self._words) or self._only_changed or self._only_starred
        found = {h.path for h in self._hits} if self._words else set(form.fields)
        changed = self._seen_changed if self._only_changed else state.changed if not filtered else set(form.fields)
        return frozenset(said if self._only_starred else said | (found & set(changed)))

    def show_only_changed(self, only: bool) -> None:
        """Show only what differs from the defaults, and what does so while it is shown."""
        self._only_changed, self._seen_changed = only, self._state.changed
        self._kept.clear()
        self._filter()

    def show_only_starred(self, only: bool) -> None:
        """Show only favourites."""
        self._only_starred = only
        self._kept.clear()
        self._filter()

    def bring(self, path: str) -> QWidget | None:
        """Have what belongs to a key path in view, whatever is folded; its field, or its row. None where there is none.

        Searches and filters are the pane's to end.
        """
        for form in self.forms.values():
            if path in form.fields:
                group = next((g for g in self.groups.values() if form in g.members), None)
                if group is None:  # heads, under attention
                    self._kept.add("attention")
                elif group.is_folded:
                    group.set_arranged(folded=False, more=group.shows_more)
                form.want(path)
                self._filter()
                return form.fields[path]
        parts = path.split(".")
        row = self.rows.get(parts[1]) if len(parts) > 1 and parts[0] == "techniques" else None
        if row is None:
            return None
        self._kept.add(row.slot.name)
        self._filter()
        return row.bring(path) or row

    # ------------------------------------------------------------------ searching

    @functools.cached_property
    def _index(self) -> FormIndex:
        titles = {"model": self.tr("Sizes"), "data": self.tr("Data"), "run": self.tr("Run"), "": self.tr("Run")}
        cards = {"model": _cards("model"), "data": _cards("data"), "run": _cards("run"), "": TOP_CARDS[1:]}
        return FormIndex(self._catalogue, list(settings_of((titles[s], s, cards[s]) for s in titles)))

    def search(self, text: str) -> None:
        """Show only what the words name, and mark it; the best of it is the hit that Enter means."""
        self._words = tuple(text.lower().split())
        self._hits = self._index.find(text)
        self._at = best(self._hits)
        self._filter()
        self._mark()

    def step_hit(self, step: int) -> None:
        """Go to the next hit (1) or the one before (-1), round and round."""
        if self._hits:
            self._at = (self._at + step) % len(self._hits)
            self._mark()

    @property
    def hit(self) -> Hit | None:
        """What Enter would choose."""
        return self._hits[self._at] if self._hits else None

    @property
    def hit_place(self) -> tuple[int, int]:
        """(which, of how many)."""
        return (self._at + 1 if self._hits else 0), len(self._hits)

    def blocked_reason(self, hit: Hit | None) -> str:
        """Why a hit cannot be chosen, "" where it can."""
        return self._state.blocked.get((hit.slot, hit.technique), "") if hit else ""

    def _mark(self) -> None:
        hit = self.hit
        for name, row in self.rows.items():
            found = frozenset(h.technique for h in self._hits if h.slot == name)
            if found or row.has_marks:
                at = hit.technique if hit and hit.slot == name else ""
                row.set_found(found, at, is_hit=bool(hit and hit.slot == name), words=self._words)
        paths = {h.path for h in self._hits if h.path}
        for form in self.forms.values():
            form.mark(paths, hit.path if hit else "")

    # ------------------------------------------------------------------ favourites and folding

    def star(self, slot: str) -> None:
        """Make a slot a favourite, or no longer."""
        row = self.rows[slot]
        row.set_starred(not row.starred)
        self._kept.add(slot)
        self._filter()
        self.arranged.emit()

    @property
    def favourites(self) -> list[str]:
        """The slots that are favourites."""
        return [name for name, row in self.rows.items() if row.starred]

    def arrangement(self) -> dict[str, Any]:
        """What is folded, what shows more, and the favourites, as JSON-able data."""
        folded = [key for key, group in self.groups.items() if group.is_folded]
        more = [key for key, group in self.groups.items() if group.shows_more]
        return {"folded": folded, "more": more, "favourites": self.favourites}

    def restore(self, arrangement: Mapping[str, Any]) -> None:
        """Take back what `arrangement` gave; what it does not know is left out."""
        def names(key: str) -> list[Any]:
            value = arrangement.get(key)
            return value if isinstance(value, list) else []

        for key, group in self.groups.items():
            group.set_arranged(folded=key in names("folded"), more=key in names("more"))
        for name, row in self.rows.items():
            row.set_starred(name in names("favourites"))
        self._filter()

    def _on_arranged(self) -> None:
        self._kept.clear()
        self._filter()
        self.arranged.emit()


def _cards(section: str) -> tuple[OptionCard, ...]:
    return option_cards(SECTIONS[section])
