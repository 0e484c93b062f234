"""What a search found, in words under the search field: the hit that Enter means, and which keys do what."""

from __future__ import annotations

from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from tfx_engine.protocol.cards import Catalogue
from tfx_workbench.widgets.card import ElidedLabel
from tfx_workbench.widgets.form_search import Hit
from tfx_workbench.widgets.words import shown


class FoundLine(QFrame):
    """Invisible while nothing is searched; its height does not depend on what was found."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setObjectName("raised")
        column = QVBoxLayout(self)
        column.setContentsMargins(8, 4, 8, 5)
        column.setSpacing(1)
        self._title, self._about = ElidedLabel(), ElidedLabel()
        self._title.setObjectName("cardTitle")
        self._about.setObjectName("muted")
        self._keys, self._place = ElidedLabel(), QLabel()
        for label in (self._keys, self._place):
            label.setObjectName("tick")
        last = QHBoxLayout()
        last.addWidget(self._keys, 1)
        last.addWidget(self._place)
        column.addWidget(self._title)
        column.addWidget(self._about)
        column.addLayout(last)
        self.hide()

    def show_hit(
        self, catalogue: Catalogue, hit: Hit | None, place: tuple[int, int], *, searching: bool, blocked: str = ""
    ) -> None:
        """Say what was found; `place` is (which, of how many), `blocked` why it cannot be chosen."""
        self.setVisible(searching)
        if not searching:
            return
        title, about = _words(catalogue, hit) if hit else (self.tr("Nothing is called that"), "")
        if hit is None:
            about = self.tr("Names, titles, summaries, options and papers are searched.")
        self._title.set_text(title)
        self._about.set_text(blocked or about)
        keys = self.tr("Esc clears")
        if hit:
            enter = self.tr("Enter goes there") if blocked or not hit.technique else self.tr("Enter chooses")
            page = self.tr("F1 page") if hit.technique else ""
            keys = " · ".join(filter(None, [enter, "↑ ↓" if place[1] > 1 else "", page, keys]))
        self._keys.set_text(keys)
        self._place.setText(self.tr("{which} of {count}").format(which=place[0], count=place[1]) if hit else "")

    @property
    def text(self) -> str:
        """All that it says."""
        return " · ".join([self._title.whole_text(), self._about.whole_text(), self._place.text()])


def _words(catalogue: Catalogue, hit: Hit) -> tuple[str, str]:
    """(title, line about it) of a hit."""
    slot = catalogue.slot(hit.slot)
    if slot is None:
        return hit.path, ""
    card = catalogue.find(hit.slot, hit.technique)
    if card is None:
        return shown(slot.title), shown(slot.summary)
    option = next((o for o in card.options if o.name == hit.option), None)
    title = f"{shown(card.title)} · {shown(slot.title).lower()}"
    return title, f"{shown(option.label)}: {shown(option.help)}" if option else shown(card.summary)
