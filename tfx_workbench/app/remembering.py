"""What is remembered from one window to the next: its place and arrangement, the form, which runs are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QByteArray, QObject, QSize, QTimer
from PySide6.QtGui import QGuiApplication

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow

WINDOW_SIZE = QSize(1680, 1010)
_KEPT_AFTER_MS = 300


class Remembering(QObject):
    """Belongs to one window. What is worked on is kept soon after every change, so that a kill loses nothing."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window, self._settings = window, window.settings
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_KEPT_AFTER_MS)
        self._timer.timeout.connect(self._keep_work)
        window.pane.restore(self._settings.form)
        window.runs_card.group_by(self._settings.grouping)
        window.pane.arranged.connect(self._keep_form)
        window.runs_card.grouped.connect(self._keep_grouping)
        window.area.choices_changed.connect(self._settings.keep_panel_choices)
        window.session.draft.changed.connect(self._timer.start)
        window.session.runs.selection_changed.connect(self._timer.start)

    def place(self) -> None:
        """The window where it was, and what is in it as large as it was."""
        window, screen = self._window, QGuiApplication.primaryScreen().availableGeometry().size()
        window.resize(WINDOW_SIZE.boundedTo(screen))
        window.columns.setSizes([346, 1314])
        window.rows.setSizes([740, 220])
        geometry = self._settings.layout("geometry")
        if geometry is not None:
            window.restoreGeometry(geometry)
        for name, splitter in (("columns", window.columns), ("rows", window.rows)):
            state = self._settings.layout(name)
            if state is not None:
                splitter.restoreState(state)

    def bring_back(self) -> None:
        """The arrangement of the panels, which must be there, and the runs that were shown."""
        self._window.area.restore(self._settings.layout("docks"), self._settings.area_size)
        self._window.session.runs.restore(self._settings.ticked, self._settings.baseline)

    def keep_all(self) -> None:
        """Keep everything, now."""
        window, settings = self._window, self._settings
        self._keep_work()
        settings.keep_layout("geometry", window.saveGeometry())
        settings.keep_layout("columns", window.columns.saveState())
        settings.keep_layout("rows", window.rows.saveState())
        if window.area.docks and window.is_whole:  # else the others' places would be forgotten
            settings.keep_layout("docks", QByteArray(window.area.saveState()))
            settings.area_size = window.area.size()
        settings.sync()

    def stop(self) -> None:
        """Keep nothing from now on: what is shown is being taken down."""
        self._timer.stop()

    def _keep_work(self) -> None:
        self._settings.keep_draft(self._window.session.draft.state())
        if self._window.area.docks:
            runs = self._window.session.runs
            self._settings.ticked, self._settings.baseline = list(runs.ticked), runs.baseline

    def _keep_form(self) -> None:
        self._settings.form = self._window.pane.form.arrangement()

    def _keep_grouping(self, grouping: str) -> None:
        self._settings.grouping = grouping
