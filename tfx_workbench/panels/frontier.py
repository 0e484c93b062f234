"""The panel that says what fits: the frontier exhibit, and the controls to look for another one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QWidget

from tfx_workbench.analysis.frontier import USUAL, Frontier
from tfx_workbench.exhibits.frontier import encode_frontiers
from tfx_workbench.exhibits.kind import ExhibitType
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.widgets.exhibit_panel import ExhibitPanel
from tfx_workbench.widgets.frontier_strip import FrontierStrip

_LOW = 190  # px of height
_QT_MOST = 16777215  # Qt's QWIDGETSIZE_MAX


class FrontierPanel(ExhibitPanel):
    """Emits what is wanted: `predict_wanted(grow, techniques, limit)`, `confirm_wanted(grow)`, `cancel_wanted()`."""

    predict_wanted = Signal(str, list, str)
    confirm_wanted = Signal(str)
    cancel_wanted = Signal()

    def __init__(self, exhibit: ExhibitType, parent: QWidget | None = None) -> None:
        super().__init__(exhibit, parent)
        self._found: Mapping[str, Frontier] = {}
        self._busy, self._doing = False, ""
        self.strip = FrontierStrip(USUAL, self)
        self.strip.predict_asked.connect(self.predict)
        self.strip.confirm_asked.connect(lambda: self.confirm_wanted.emit(self._chosen["grow"]))
        self.strip.cancel_asked.connect(self.cancel_wanted)
        self.view.set_strip(self.strip)

    def predict(self) -> None:
        """Ask for what is chosen."""
        self.predict_wanted.emit(self._chosen["grow"], self.strip.techniques(), self.strip.limit_text())

    def show_found(self, found: Mapping[str, Frontier], busy: bool, doing: str) -> None:
        """Show what was found so far, and what is being done."""
        self._found, self._busy, self._doing = found, busy, doing
        self._chosen["found"] = encode_frontiers(found)
        self.update_runs(self._runs)

    def update_runs(self, runs: Sequence[RunView], choices: Mapping[str, str] | None = None) -> None:
        """Runs are not what this panel shows; choices are."""
        self.nothing_run = False
        kept = self._chosen.get("found", "")
        super().update_runs(runs, None if choices is None else {**choices, "found": kept})
        found = self._found.get(self._chosen["grow"])
        self.strip.show_state(self._busy, found is not None and found.is_predicted, self._doing)

    def resizeEvent(self, event: QResizeEvent) -> None:
        # Hollow and filled explain themselves; where there is little height the bars have it.
        self.view.legend.setMaximumHeight(0 if event.size().height() < _LOW else _QT_MOST)
        super().resizeEvent(event)


PANEL = ("frontier", FrontierPanel)
