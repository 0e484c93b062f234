"""A panel that shows one exhibit and its choices: all that most exhibits need."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence

from PySide6.QtCore import QTimer
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QMenu, QVBoxLayout, QWidget

from tfx_workbench.exhibits.by_step import NOTHING_RUN, WINDOW
from tfx_workbench.exhibits.exhibit import Exhibit
from tfx_workbench.exhibits.kind import ExhibitType
from tfx_workbench.exhibits.palette import Palette
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.widgets.exhibit_view import ExhibitView, warm_up
from tfx_workbench.widgets.panel import Panel
from tfx_workbench.widgets.words import shown

_CLOSER_MS = 40  # from a turn of the wheel to the details
_SMOOTH_S = 0.025  # a picture that takes longer to make waits until the mouse rests


class ExhibitPanel(Panel):
    """Makes the exhibit of the runs it is given, and again when something else is chosen in it."""

    def __init__(self, exhibit: ExhibitType, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._kind = exhibit
        self._runs: tuple[RunView, ...] = ()
        self._chosen = exhibit.choose({})
        self._late = False  # runs came while nobody could see them
        self.name = exhibit.name
        self.title = shown(exhibit.title)
        self.needs = exhibit.needs
        self.view = ExhibitView(self.title, exhibit.choices, self)
        self.view.chosen.connect(self.choose)
        self.view.export_wanted.connect(self.export_wanted)
        self.view.looked_at.connect(self._look_closer)
        self._closer = QTimer(self)  # not at every turn of the wheel
        self._closer.setSingleShot(True)
        self._closer.setInterval(_CLOSER_MS)
        self._closer.timeout.connect(self._show_closer)
        self._closer_took_s = 0.0
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.view)
        self.setAccessibleName(self.title)
        self.setMinimumSize(200, 140)

    # ------------------------------------------------------------------ what the window calls

    def update_runs(self, runs: Sequence[RunView], choices: Mapping[str, str] | None = None) -> None:
        """Show these runs; a panel that cannot be seen remembers them until it can."""
        self._runs = tuple(runs)
        if choices is not None:
            self._chosen = self._kind.choose(choices)
            self.view.header.show_choices(self._chosen)
        if self.isVisible():
            exhibit = self._kind.make(self._runs, self._chosen)
            if self.nothing_run and not self._runs:
                exhibit = dataclasses.replace(exhibit, empty=NOTHING_RUN)
            self.show_exhibit(exhibit)
        else:
            self._late = True

    def choices(self) -> dict[str, str]:
        """What is chosen in the panel, and is worth keeping."""
        return {name: key for name, key in self._chosen.items() if name != WINDOW}

    def apply_theme(self, palette: Palette) -> None:
        """Take on these colours."""
        self.view.apply_theme(palette)

    def add_export_items(self, menu: QMenu) -> None:
        """What can be saved of the exhibit."""
        self.view.add_export_items(menu)

    def close_panel(self) -> None:
        """Let go of plots and runs."""
        self._runs = ()
        self.view.close_view()

    # ------------------------------------------------------------------ its own business

    def choose(self, name: str, key: str) -> None:
        """Choose an option and show what it changes at once."""
        self._chosen = self._kind.choose({**self._chosen, name: key})
        self.view.header.show_choices(self._chosen)
        self.update_runs(self._runs)
        self.choices_changed.emit()

    def _look_closer(self, key: str, window: tuple[float, float] | None) -> None:
        """Show the stretch that somebody zoomed into in as much detail as there is of it."""
        size = self.view.unit_of(key)
        if size is None:
            return
        self._chosen.pop(WINDOW, None)
        if window is not None:
            self._chosen[WINDOW] = " ".join(f"{size * at:.12g}" for at in window)
        if not self._closer.isActive() or self._closer_took_s > _SMOOTH_S:
            self._closer.start()

    def _show_closer(self) -> None:
        start = time.perf_counter()
        self.update_runs(self._runs)
        self._closer_took_s = time.perf_counter() - start

    def show_exhibit(self, exhibit: Exhibit) -> None:
        """Show an exhibit; panels that paint themselves extend this."""
        self._late = False
        self.view.show_exhibit(exhibit)

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        warm_up()
        if self._late or self.view.canvas is None:
            self.update_runs(self._runs)
