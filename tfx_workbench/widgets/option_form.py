"""Options of one technique or section as fields that flow like words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QWidget

from tfx_engine.protocol.options import OptionCard
from tfx_workbench.widgets.flow_layout import FlowLayout
from tfx_workbench.widgets.option_field import OptionField
from tfx_workbench.widgets.words import shown


class OptionForm(QWidget):
    """Fields for `cards`, made from them and nothing else; their paths are `prefix.name`, or `name` without a prefix."""

    edited = Signal(str, object)

    def __init__(self, cards: Sequence[OptionCard], prefix: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        flow = FlowLayout(self, spacing=12, row_spacing=6)
        self.fields: dict[str, OptionField] = {}
        for card in cards:
            field = OptionField(card, f"{prefix}.{card.name}" if prefix else card.name, self)
            field.edited.connect(self.edited)
            flow.addWidget(field)
            flow.addWidget(field.problem_label)
            self.fields[field.path] = field

    def show_state(self, values: Mapping[str, Any], problems: Mapping[str, str], changed: frozenset[str]) -> None:
        """Show values, problems and changes by path; paths that are not given keep their card's default."""
        for path, field in self.fields.items():
            field.set_value(values.get(path, field.card.default))
            field.set_state(changed=path in changed, problem=problems.get(path, ""))

    def narrow(self, words: list[str], only: frozenset[str] | None) -> bool:
        """Whether a field is among `only` (None: all) and meant by all the words."""
        return any(
            (only is None or path in only) and all(w in f"{path} {shown(field.card.label)}".lower() for w in words)
            for path, field in self.fields.items()
        )
