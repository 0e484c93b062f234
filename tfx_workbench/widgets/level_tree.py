"""What an ablation varies, to be ticked: techniques under their slot, and options with their values.

What the base has already cannot be ticked; what does not fit the base is greyed, with the reason as its tool tip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QTreeWidget, QTreeWidgetItem, QWidget

from tfx_engine.protocol.cards import Catalogue, SlotCard, TechniqueCard
from tfx_engine.protocol.config import Config
from tfx_workbench.analysis.factors import Factor, level_name
from tfx_workbench.widgets.words import plain_tip, shown, technique_tip

_KEY = Qt.ItemDataRole.UserRole  # of a level: (path, level)
Blocked = Mapping[tuple[str, str], str]


class LevelTree(QTreeWidget):
    """Emits `changed()` when something was ticked or no longer is."""

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setHeaderHidden(True)
        self.setRootIsDecorated(True)
        self.setUniformRowHeights(True)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setAccessibleName(self.tr("What is varied"))
        self._options: list[Factor] = []
        self._silent = False
        self._catalogue: Catalogue | None = None
        self.itemChanged.connect(self._on_changed)

    # ------------------------------------------------------------------ what there is

    def show_catalogue(self, catalogue: Catalogue, base: Config, blocked: Blocked, design: str) -> None:
        """The slots of a catalogue about a base; what was ticked stays ticked."""
        ticked = {(f.path, level_name(level)) for f in self.factors() for level in f.levels}
        opened = {item.data(0, _KEY) for item in self._slots() if item.isExpanded()}
        is_first, self._silent = self._catalogue is None, True
        self._catalogue = catalogue
        self.clear()
        for card in catalogue.slots:
            techniques = catalogue.in_slot(card.name)
            if len(techniques) < 2:
                continue
            slot = self._slot(card, catalogue.find(card.name, base.use(card.name)))
            for technique in techniques:
                self._level(slot, technique, base, blocked, design, ticked)
            slot.setExpanded(slot.data(0, _KEY) in opened or (is_first and card.common))
        self._add_options(ticked)
        self._silent = False

    def _slot(self, card: SlotCard, now: TechniqueCard | None) -> QTreeWidgetItem:
        item = QTreeWidgetItem(self, [shown(card.title)])
        item.setData(0, _KEY, card.name)
        item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
        item.setToolTip(0, plain_tip(shown(card.summary)))
        if now is not None:
            item.setText(0, self.tr("{slot}  ·  {now}").format(slot=shown(card.title), now=shown(now.short)))
        return item

    def _level(
        self, slot: QTreeWidgetItem, card: TechniqueCard, base: Config, blocked: Blocked, design: str,
        ticked: set[tuple[str, str]],
    ) -> None:
        is_base, why = base.use(card.slot) == card.name, blocked.get((card.slot, card.name), "")
        item = QTreeWidgetItem(slot, [shown(card.title)])
        item.setData(0, _KEY, (f"techniques.{card.slot}", {"use": card.name}))
        own = is_base and not (design == "leave-one-out" and not self._is_default(card, base))
        off = own or bool(why and design == "one-at-a-time")
        flags = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsUserCheckable
        item.setFlags(flags if off else flags | Qt.ItemFlag.ItemIsEnabled)
        on = (f"techniques.{card.slot}", card.name) in ticked and not off
        item.setCheckState(0, Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)
        if own:
            item.setText(0, self.tr("{title}  (the base)").format(title=shown(card.title)))
        elif why:
            item.setForeground(0, self.palette().placeholderText())
        item.setToolTip(0, plain_tip(shown(why), *technique_tip(card)))

    def _is_default(self, card: TechniqueCard, base: Config) -> bool:
        slot = self._catalogue.slot(card.slot) if self._catalogue else None
        return slot is not None and slot.default_for(base.data.task) == card.name

    def _add_options(self, ticked: set[tuple[str, str]]) -> None:
        if not self._options:
            return
        top = QTreeWidgetItem(self, [self.tr("Options")])
        top.setData(0, _KEY, "")
        top.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
        for factor in self._options:
            title = f"{factor.path.removeprefix('techniques.')} = {', '.join(map(level_name, factor.levels))}"
            item = QTreeWidgetItem(top, [title])
            item.setData(0, _KEY, factor)
            item.setCheckState(0, Qt.CheckState.Checked if not ticked or any(
                path == factor.path for path, _ in ticked) else Qt.CheckState.Unchecked)
            item.setToolTip(0, plain_tip(title))
        top.setExpanded(True)

    def add_option(self, factor: Factor) -> None:
        """Vary an option too, in place of what was said of it before."""
        self._options = [f for f in self._options if f.path != factor.path] + [factor]
        self._silent = True
        for item in [i for i in self._slots() if i.data(0, _KEY) == ""]:
            self.takeTopLevelItem(self.indexOfTopLevelItem(item))
        self._add_options(set())
        self._silent = False
        self.changed.emit()

    # ------------------------------------------------------------------ what is ticked

    def factors(self) -> tuple[Factor, ...]:
        """What is ticked, slot by slot, then the options."""
        found: dict[str, list[object]] = {}
        options: list[Factor] = []
        for slot in self._slots():
            for item in _children(slot):
                if item.checkState(0) != Qt.CheckState.Checked:
                    continue
                data = item.data(0, _KEY)
                if isinstance(data, Factor):
                    options.append(data)
                else:
                    found.setdefault(data[0], []).append(data[1])
        return (*(Factor(path, tuple(levels)) for path, levels in found.items()), *options)

    def tick(self, slot: str, names: Sequence[str]) -> None:
        """Tick these techniques of a slot."""
        for item in self._slots():
            if item.data(0, _KEY) == slot:
                for child in _children(item):
                    data = child.data(0, _KEY)
                    if data[1]["use"] in names and child.flags() & Qt.ItemFlag.ItemIsEnabled:
                        child.setCheckState(0, Qt.CheckState.Checked)
                        item.setExpanded(True)

    def clear_ticks(self) -> None:
        """Nothing is ticked any more."""
        self._silent, self._options = True, []
        for slot in self._slots():
            for item in _children(slot):
                item.setCheckState(0, Qt.CheckState.Unchecked)
        self._silent = False
        self.changed.emit()

    def show_found(self, text: str) -> None:
        """Show only what has these words in it."""
        words = text.casefold().split()
        for slot in self._slots():
            children = _children(slot)
            of_slot = all(word in slot.text(0).casefold() for word in words)
            for item in children:
                item.setHidden(not (of_slot or all(word in item.text(0).casefold() for word in words)))
            slot.setHidden(all(item.isHidden() for item in children))
            if words and not slot.isHidden():
                slot.setExpanded(True)

    def _slots(self) -> list[QTreeWidgetItem]:
        return [item for i in range(self.topLevelItemCount()) if (item := self.topLevelItem(i)) is not None]

    def _on_changed(self, _item: QTreeWidgetItem) -> None:
        if not self._silent:
            self.changed.emit()


def _children(item: QTreeWidgetItem) -> list[QTreeWidgetItem]:
    return [child for i in range(item.childCount()) if (child := item.child(i)) is not None]
