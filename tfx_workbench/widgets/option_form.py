"""Options of one technique or section as fields that flow like words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QWidget

from tfx_engine.protocol.options import OptionCard, matters
from tfx_workbench.widgets.flow_box import FlowBox
from tfx_workbench.widgets.option_field import OptionField
from tfx_workbench.widgets.words import shown


class OptionForm(FlowBox):
    """Fields for `cards`, made from them and nothing else; their paths are `prefix.name`, or `name` without a prefix.

    The first `common` fields are always there; the others come with a press on "more", when they differ from their
    default, when something is wrong with them, or when a choice that makes them matter was made. What is of no effect
    beside the other values is hidden, or dimmed where it differs from its default.
    """

    edited = Signal(str, object)

    def __init__(
        self, cards: Sequence[OptionCard], prefix: str, parent: QWidget | None = None, common: int | None = None,
    ) -> None:
        super().__init__(parent, spacing=12, row_spacing=6)
        self.fields: dict[str, OptionField] = {}
        for card in cards:
            field = OptionField(card, f"{prefix}.{card.name}" if prefix else card.name, self)
            field.edited.connect(self.edited)
            self.add(field)
            self.add(field.problem_label)
            self.fields[field.path] = field
        self._prefix = f"{prefix}." if prefix else ""
        self._common = len(self.fields) if common is None else common
        self._idle: frozenset[str] = frozenset()  # paths of what is of no effect now
        self._noted: frozenset[str] = frozenset()  # paths of what is changed, wrong or warned of now
        self._wanted: set[str] = set()  # those that were changed once stay, so that nothing jumps while it is edited
        self._only: frozenset[str] | None = None
        self.more = QPushButton(self)
        self.more.setObjectName("disclosure")
        self.more.setCheckable(True)
        self.more.setFixedHeight(24)  # as its neighbours
        self.more.toggled.connect(self._show_fields)
        self.add(self.more)
        self._show_fields()

    def show_state(
        self, values: Mapping[str, Any], problems: Mapping[str, str], changed: frozenset[str],
        warnings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Show values, problems and changes by path; paths that are not given keep their card's default."""
        by_name = {f.card.name: values.get(path, f.card.default) for path, f in self.fields.items()}
        self._noted = frozenset(p for p in self.fields if p in changed or p in problems or p in warnings)
        self._idle = frozenset(path for path, f in self.fields.items() if not matters(f.card, by_name))
        for path, field in self.fields.items():
            field.set_value(by_name[field.card.name])
            field.set_state(changed=path in changed, problem=problems.get(path, ""), warning=warnings.get(path, ""))
            field.set_idle(self._why_idle(field, by_name) if path in self._idle else "")
            if path in self._noted or self._was_called_for(field, changed):
                self._wanted.add(path)
        self._show_fields()

    def _was_called_for(self, field: OptionField, changed: frozenset[str]) -> bool:
        """Whether somebody chose what makes this option matter."""
        return field.path not in self._idle and any(f"{self._prefix}{name}" in changed for name in field.card.only_when)

    def _why_idle(self, field: OptionField, by_name: Mapping[str, Any]) -> str:
        labels = {f.card.name: shown(f.card.label) for f in self.fields.values()}
        name = next(n for n, wanted in field.card.only_when.items() if n in by_name and by_name[n] not in wanted)
        return self.tr("Of no effect while {option} is {value}.").format(option=labels[name], value=by_name[name])

    def expand(self, on: bool = True) -> None:
        """Show all fields, or only the common ones."""
        self.more.setChecked(on)

    def narrow(self, only: Collection[str] | None) -> bool:
        """Show only the fields at these paths (None: as usual); whether one of them is here."""
        here = None if only is None else frozenset(p for p in self.fields if p in only)
        if here != self._only:
            self._only = here
            self._show_fields()
        return here is None or bool(here)

    def want(self, path: str) -> None:
        """Have a field in view from now on."""
        self._wanted.add(path)
        self._show_fields()

    def named_by(self, words: Sequence[str]) -> frozenset[str]:
        """The paths of the fields that all these words name."""
        return frozenset(p for p, f in self.fields.items() if words and f.is_named_by(words))

    def mark(self, found: Collection[str], hit: str = "") -> None:
        """Mark the fields that a search found; `hit` is the one that Enter means. They are in view from now on."""
        here = {path for path in self.fields if path in found}
        for path, field in self.fields.items():
            field.set_found("hit" if path == hit else "found" if path in here else "")
        if not here <= self._wanted:
            self._wanted |= here
            self._show_fields()

    def _show_fields(self) -> None:
        rest = 0
        for i, (path, field) in enumerate(self.fields.items()):
            hidden = path in self._idle and path not in self._noted
            first = i < self._common or path in self._wanted
            rest += not hidden and not first
            visible = not hidden and (first or self.more.isChecked()) if self._only is None else path in self._only
            field.setVisible(visible)
            field.problem_label.setVisible(visible and bool(field.problem))
        self.more.setVisible(rest > 0 and self._only is None)
        self.more.setText(self.tr("less") if self.more.isChecked() else self.tr("+ {count} more").format(count=rest))
