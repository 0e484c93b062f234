"""What the engine says of the draft, asked whenever it changes: problems, counts, cost, and the time of a step."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from tfx_engine.protocol.messages import Notice, Reply
from tfx_engine.protocol.problems import errors_among
from tfx_workbench.session.draft import Draft
from tfx_workbench.session.engine import Engine, problems_of

VALIDATE_AFTER_MS = 150
TIME_AFTER_MS = 300  # a step's time takes a second to predict: only where somebody has stopped toggling
AGAIN_AFTER_MS = 1000  # where something else was asked meanwhile


class Prediction(QObject):
    """Asks again until what was answered is of the draft as it is."""

    counted = Signal(dict)  # parameters and FLOPs; empty where they are not known
    estimated = Signal(dict)  # what it will cost; empty where that is not known
    timed = Signal(dict)  # the time of its step, which comes later, or why it is not known
    outdated = Signal()  # what was said is of an older configuration

    def __init__(self, draft: Draft, engine: Engine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._draft, self._engine = draft, engine
        self._validated: dict[str, Any] | None = None
        self._estimated: dict[str, Any] | None = None  # the draft whose figures are shown
        self._timer = self._alarm(VALIDATE_AFTER_MS, self._validate)
        self._time_timer = self._alarm(TIME_AFTER_MS, self._ask_time)
        draft.changed.connect(self.look)
        engine.noticed.connect(self._on_notice)

    def _alarm(self, ms: int, then: Any) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(ms)
        timer.timeout.connect(then)
        return timer

    def stop(self) -> None:
        """Ask nothing more."""
        self._timer.stop()
        self._time_timer.stop()

    def look(self) -> None:
        """Ask where the draft is another one now."""
        if self._draft.data != self._validated:
            self.outdated.emit()
            self._time_timer.stop()
            self._timer.start()

    def _validate(self) -> None:
        """Ask the engine for what only the techniques themselves can judge."""
        data = self._draft.data
        self._validated = data
        if errors_among(self._draft.problems):
            self._know_nothing()
            return

        def answer(reply: Reply) -> None:
            if self._draft.data == data:
                problems = problems_of(reply)
                self._draft.set_deep_problems([p for p in problems if p.code != "engine-gone"])
                if reply.ok and reply.result.get("deep"):
                    self.counted.emit(reply.result)
                    self._engine.estimate(data, estimate)
                else:
                    self._know_nothing()

        def estimate(reply: Reply) -> None:
            if self._draft.data == data:
                if not reply.ok:
                    self._know_nothing()
                    return
                self._estimated = data
                self.estimated.emit(reply.result)
                self._time_timer.start(TIME_AFTER_MS)

        self._engine.validate(data, answer)

    def _ask_time(self) -> None:
        data = self._draft.data
        if data != self._estimated:
            return

        def answer(reply: Reply) -> None:
            if not self._draft.data == self._estimated == data:
                return
            problems = problems_of(reply)
            if problems and problems[0].code == "superseded":
                self._time_timer.start(AGAIN_AFTER_MS)
                return
            reason = problems[0].message if problems else ""
            self.timed.emit(reply.result if reply.ok else {"missing": {"step_ms": reason}})

        self._engine.step_time(data, answer)

    def _on_notice(self, notice: Notice) -> None:
        """After a run more is known: how fast the device is, and how far off predictions are."""
        if notice.kind == "ended":
            self._time_timer.start(TIME_AFTER_MS)

    def _know_nothing(self) -> None:
        self._estimated = None
        self.counted.emit({})
        self.estimated.emit({})
