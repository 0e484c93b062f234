"""F1: the page of the technique that the keyboard is at, and else the help."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QApplication, QWidget

from tfx_workbench.widgets.slot_row import SlotRow

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow
    from tfx_workbench.widgets.page_pane import PagePane


class Pages(QObject):
    """The pages of one window; the card that shows them is made for the first one."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.pane: PagePane | None = None
        self._before: QWidget | None = None  # who had the keyboard
        window.pane.page_asked.connect(self.open)
        window.pane.technique_chosen.connect(self._follow)
        window.theme.changed.connect(lambda palette: self.pane.apply_theme(palette) if self.pane else None)

    def help(self) -> None:
        """The page of what the keyboard is at: a hit of the search, a slot of the form; else the help."""
        focus, pane = QApplication.focusWidget(), self._window.pane
        hit = pane.form.hit
        row = focus
        while row is not None and not isinstance(row, SlotRow):
            row = row.parentWidget()
        if focus is pane.search and hit is not None and hit.technique:
            self.open(hit.slot, hit.technique)
        elif row is not None:
            self.open(row.slot.name, row.chosen)
        else:
            self._window.commands.show_help()

    def open(self, slot: str, name: str) -> None:
        """Show the page of a technique."""
        pane = self._made()
        if pane.isHidden():
            self._before = QApplication.focusWidget()
        pane.show_page(slot, name)

    def show_draft(self) -> None:
        """Say on the page whether its technique is the chosen one."""
        if self.pane is not None and not self.pane.isHidden():
            draft = self._window.session.draft
            self.pane.show_choice(draft.config.use(self.pane.slot),
                                  draft.blocked().get((self.pane.slot, self.pane.name), ""))

    def _follow(self, slot: str, name: str) -> None:
        """What is chosen while a page is open is what somebody wants to read about."""
        if self.pane is not None and not self.pane.isHidden():
            self.pane.show_page(slot, name, focus=False)

    def forget(self) -> None:
        """The next page is made of the catalogue as it is then."""
        if self.pane is not None:
            self.pane.hide()
            self.pane.deleteLater()
            self.pane = None

    def _made(self) -> PagePane:
        if self.pane is None:
            from tfx_workbench.widgets.page_pane import PagePane

            window = self._window
            self.pane = PagePane(window.session.draft.catalogue, window.rows, window.whole)
            self.pane.apply_theme(window.theme.palette)
            self.pane.technique_chosen.connect(window.session.draft.choose)
            self.pane.page.experiment_asked.connect(lambda number: window.guide.open(number))
            self.pane.turned.connect(self.show_draft)
            self.pane.closed.connect(self._give_back)
        return self.pane

    def _give_back(self) -> None:
        """The keyboard goes back to where it was."""
        before, self._before = self._before, None
        if before is not None and before.isVisible():
            before.setFocus(Qt.FocusReason.OtherFocusReason)
