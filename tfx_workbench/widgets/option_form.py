"""Options of one technique or section as fields that flow like words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QPushButton, QWidget

from tfx_engine.protocol.options import OptionCard
from tfx_workbench.widgets.flow_box import FlowBox
from tfx_workbench.widgets.option_field import OptionField
from tfx_workbench.widgets.words import shown


class OptionForm(FlowBox):
    """Fields for `cards`, made from them and nothing else; their paths are `prefix.name`, or `name` without a prefix.

    The first `common` fields are always there; the others come with a press on "more", when they differ from their
    default, or when something is wrong with them.
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
        self._common = len(self.fields) if common is None else common
        self._hidden: frozenset[str] = frozenset()
        self._wanted: set[str] = set()  # those that were changed once stay, so that nothing jumps while it is edited
        self.more = QPushButton()
        self.more.setObjectName("disclosure")
        self.more.setCheckable(True)
        self.more.toggled.connect(self._show_fields)
        self.add(self.more)
        self._show_fields()

    def show_state(
        self, values: Mapping[str, Any], problems: Mapping[str, str], changed: frozenset[str],
        warnings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Show values, problems and changes by path; paths that are not given keep their card's default."""
        for path, field in self.fields.items():
            field.set_value(values.get(path, field.card.default))
            field.set_state(changed=path in changed, problem=problems.get(path, ""), warning=warnings.get(path, ""))
            if path in changed or path in problems or path in warnings:
                self._wanted.add(path)
        self._show_fields()

    def hide_fields(self, paths: frozenset[str]) -> None:
        """Never show these: they say nothing for the other choices."""
        if paths != self._hidden:
            self._hidden = paths
            self._show_fields()

    def expand(self, on: bool = True) -> None:
        """Show all fields, or only the common ones."""
        self.more.setChecked(on)

    def narrow(self, words: list[str], only: frozenset[str] | None) -> bool:
        """Whether a field is among `only` (None: all) and meant by all the words."""
        return any(
            (only is None or path in only) and all(w in f"{path} {shown(field.card.label)}".lower() for w in words)
            for path, field in self.fields.items()
        )

    def _show_fields(self) -> None:
        rest = 0
        for i, (path, field) in enumerate(self.fields.items()):
            visible = path not in self._hidden and (i < self._common or self.more.isChecked() or path in self._wanted)
            rest += i >= self._common and path not in self._hidden and path not in self._wanted
            field.setVisible(visible)
            field.problem_label.setVisible(visible and bool(field.problem))
        self.more.setVisible(rest > 0 and self._common > 0)
        self.more.setText(self.tr("less") if self.more.isChecked() else self.tr("+ {count} more").format(count=rest))
        self.setVisible(rest < len(self.fields) or self._common > 0)
