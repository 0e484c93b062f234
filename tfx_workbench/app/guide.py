"""The guide of a window: opened from the menu Help, brought up to date while an experiment goes on."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, QTimer
from PySide6.QtWidgets import QApplication, QWidget

from tfx_engine.protocol.problems import ConfigError
from tfx_workbench.analysis.guide import Evidence, build_guide
from tfx_workbench.analysis.pace import Pace
from tfx_workbench.runs.experiments import ResultStore
from tfx_workbench.session.experiments import ExperimentProcess
from tfx_workbench.widgets.guide_pane import GuidePane

if TYPE_CHECKING:
    from tfx_workbench.app.window import MainWindow

_LOOK_EVERY_MS = 500
_log = logging.getLogger(__name__)


class GuideBook(QObject):
    """Made when the guide is first opened; `close` with its window."""

    def __init__(self, window: MainWindow) -> None:
        super().__init__(window)
        self._window = window
        self._results = ResultStore(window.session.store)
        self.process = ExperimentProcess(window.session.store, self)
        self.pane = GuidePane(window.rows, window.whole)
        self._before: QWidget | None = None
        self._waiting: list[str] = []  # numbers of the experiments that come after the one that is going
        self._pace = Pace()
        self._mark: object = None
        self._found: dict[str, Evidence] = {}
        self._timer = QTimer(self)
        self._timer.setInterval(_LOOK_EVERY_MS)
        self._timer.timeout.connect(self._look)
        self.pane.run_asked.connect(self._start)
        self.pane.stop_asked.connect(self._stop)
        self.pane.closed.connect(self._give_back)
        self.process.changed.connect(self._go_on)
        self.process.failed.connect(self._say_failed)

    def open(self, number: str = "") -> None:
        """Show it, at an experiment where one is named."""
        if self.pane.isHidden():
            self._before = QApplication.focusWidget()
        self._show()
        self.pane.lay_over()
        self.pane.take_focus()
        self.pane.go_to(number)
        self._timer.start()

    def close(self) -> None:
        """End what is going; what was measured is kept."""
        self._waiting.clear()
        self._timer.stop()
        self.process.close()

    def _look(self) -> None:
        if self._results.mark() != self._mark:
            self._show()

    def _show(self) -> None:
        self._mark = self._results.mark()
        try:
            sections = build_guide(self._results)
        except ConfigError as error:  # a file of the program itself is damaged
            _log.warning("no guide: %s", error)
            for problem in error.problems:
                self._window.say_problem(problem)
            return
        self._found = {one.experiment.number: one for section in sections for one in section.evidence}
        going = self.process.number
        left_s = self._pace.left_s(self._said_s([going, *self._waiting])) if going else None
        self.pane.show_guide(sections, going, left_s)

    def _said_s(self, numbers: list[str]) -> float:
        return sum(self._found[number].left_s for number in numbers)

    def _start(self, number: str) -> None:
        if self._window.session.going():
            self._window.messages.say(self.tr(
                "A run is going: it and the experiment would disturb one another. Try again when it has ended."),
                "warning")
            return
        asked = [number] if number else [n for n, one in self._found.items() if one.done < one.jobs]
        if asked:
            self._waiting = asked[1:]
            self._pace.begin(self._said_s(asked))
            self.process.start(asked[0])

    def _go_on(self) -> None:
        """With the next one of all, unless a run was begun meanwhile."""
        if not self.process.number and self._waiting and not self._window.session.going():
            self.process.start(self._waiting.pop(0))
            return  # which comes here again
        if not self.process.number:
            self._waiting.clear()
        self._show()

    def _stop(self) -> None:
        self._waiting.clear()
        self.process.stop()

    def _say_failed(self, number: str, said: str) -> None:
        self._waiting.clear()
        self._window.messages.say(self.tr("Experiment {number} could not be measured: {reason}").format(
            number=number, reason=said), "bad")

    def _give_back(self) -> None:
        self._timer.stop()
        before, self._before = self._before, None
        if before is not None and before.isVisible():
            before.setFocus(Qt.FocusReason.OtherFocusReason)
