"""The View menu: which panels are open, their arrangement, and the theme."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QMenu, QPushButton

from tfx_workbench.widgets.words import plain_tip

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow

_THEMES = ("auto", "light", "dark")


class ViewMenu(QMenu):
    """Filled when the panels are there."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self.theme_button = QPushButton()
        self.theme_button.setObjectName("plain")
        self.theme_button.setToolTip(plain_tip(self.tr("Theme: automatic, light, dark")))
        self.theme_button.clicked.connect(self._next_theme)
        self._group = QActionGroup(self)

    def fill(self) -> None:
        """An entry per panel, then the arrangement and the theme."""
        self.clear()
        for dock in self._window.area.docks.values():
            self.addAction(dock.toggleViewAction())
        self.addSeparator()
        self.addAction(self._window.actions_.arrange)
        actions = self._window.actions_
        for action in (actions.next_pane, actions.last_pane, actions.form, actions.table):
            self.addAction(action)
        self.addSeparator()
        for name in _THEMES:
            action = self._group.addAction(self._theme_words(name))
            action.setCheckable(True)
            action.setData(name)
            action.triggered.connect(lambda _=False, n=name: self.choose_theme(n))
            self.addAction(action)
        self.show_theme()

    def choose_theme(self, name: str) -> None:
        """Take on a theme and remember it."""
        self._window.settings.theme = name
        self._window.theme.choose(name)
        self.show_theme()

    def show_theme(self) -> None:
        """Show which theme is chosen."""
        chosen = self._window.theme.name
        self.theme_button.setText(self.tr("Theme: {name}").format(name=self._theme_words(chosen).lower()))
        self.theme_button.setAccessibleName(self.tr("Theme: {name}").format(name=self._theme_words(chosen)))
        for action in self._group.actions():
            action.setChecked(action.data() == chosen)

    def _next_theme(self) -> None:
        self.choose_theme(_THEMES[(_THEMES.index(self._window.theme.name) + 1) % len(_THEMES)])

    def _theme_words(self, name: str) -> str:
        return {"auto": self.tr("Auto"), "light": self.tr("Light"), "dark": self.tr("Dark")}[name]
