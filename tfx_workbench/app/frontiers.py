"""What the window does about frontiers: it takes the panel's wishes to the search, and shows what that finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QObject

from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.protocol.sizes import parse_bytes
from tfx_workbench.analysis.frontier import Ask
from tfx_workbench.widgets.panel import Panel
from tfx_workbench.widgets.words import problem_words

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow
    from tfx_workbench.panels.frontier import FrontierPanel

PANEL = "frontier"


class Frontiers(QObject):
    """Belongs to one window."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window, self._search = window, window.session.frontier
        self._panel: FrontierPanel | None = None
        self._asked_early = False
        self._search.changed.connect(self._show)
        self._search.refused.connect(self._say_refused)

    def attach(self, panel: Panel) -> None:
        """A panel was made; only one of them is ours."""
        if panel.name != PANEL:
            return
        from tfx_workbench.panels.frontier import FrontierPanel

        assert isinstance(panel, FrontierPanel)
        self._panel = panel
        panel.predict_wanted.connect(self._predict)
        panel.confirm_wanted.connect(self._search.confirm)
        panel.cancel_wanted.connect(self._search.cancel)
        self._show()
        if self._asked_early:
            self.ask()

    def ask(self) -> None:
        """"What fits?": bring the panel to the front and begin to look."""
        self._asked_early = self._panel is None  # the panels behind come a moment after the window
        if self._panel is None:
            return
        dock = self._window.area.docks[PANEL]
        dock.show()
        dock.raise_()
        if not self._search.is_busy:
            self._panel.predict()

    def _predict(self, grow: str, techniques: list[str], limit: str) -> None:
        assert self._panel is not None
        draft = self._window.session.draft
        problem = next((p for i, p in draft.all_problems() if i == draft.current), None)
        if problem is not None:
            self._window.session.refused.emit(draft.current, problem)
            return
        try:
            capacity = parse_bytes(limit, "") if limit else None
        except ConfigError as error:
            self._panel.strip.show_wrong(problem_words(error.problems[0]))
            return
        self._search.predict(draft.data, grow, techniques, capacity)

    def _show(self) -> None:
        if self._panel is not None:
            busy = self._search.is_busy
            self._panel.show_found(self._search.found, busy, self._words(self._search.asked) if busy else "")

    def _words(self, ask: Ask | None) -> str:
        if ask is None:
            return self.tr("Waiting for the engine …")
        technique = ask.row.technique.replace("=", " ").replace("_", " ") or self.tr("as it is")
        template = {
            "check": self.tr("Checking {technique} …"), "instant": self.tr("Estimating {technique} …"),
            "traced": self.tr("Tracing steps of {technique} …"), "run": self.tr("Running {technique} …"),
        }[ask.kind]
        return template.format(technique=technique)

    def _say_refused(self, problem: Problem) -> None:
        self._window.say_problem(problem)
