"""What the engine says of the draft, asked whenever it changes: problems, counts, cost, and the time of a step."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal, SignalInstance

from tfx_engine.protocol.messages import Notice, Reply
from tfx_engine.protocol.problems import errors_among
from tfx_workbench.session.draft import Draft
from tfx_workbench.session.engine import Engine, problems_of

TIME_AFTER_MS = 300  # a trace takes a second: only where somebody has stopped toggling
AGAIN_AFTER_MS = 1000  # where something else was asked meanwhile


class Prediction(QObject):
    """Asks at once, one question after the other, until what was answered is of the draft as it is.

    What changes while an answer is awaited is asked together when it comes, so that a value that is dragged is
    followed as fast as the engine answers; figures of a moment ago are told meanwhile, and are said to be that.
    """

    counted = Signal(dict)  # parameters and FLOPs; empty where they are not known
    estimated = Signal(dict)  # what it will cost; empty where that is not known
    timed = Signal(dict)  # what a trace says, the time of its step and the peak; or why that is not known
    outdated = Signal()  # what was said is of an older configuration

    def __init__(self, draft: Draft, engine: Engine, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._draft, self._engine = draft, engine
        self._validated: dict[str, Any] | None = None
        self._estimated: dict[str, Any] | None = None  # the draft whose figures are shown
        self._is_asking = self._is_stopped = False
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
        self._is_stopped = True
        self._time_timer.stop()

    def look(self) -> None:
        """Ask where the draft is another one now."""
        if self._draft.data != self._validated:
            self.outdated.emit()
            self._time_timer.stop()
            self._ask()

    def _ask(self) -> None:
        """Ask of the draft as it is, unless an answer is awaited: then that asks."""
        data = self._draft.data
        if self._is_asking or self._is_stopped or data == self._validated:
            return
        self._validated = data
        if errors_among(self._draft.problems):
            self._know_nothing()
            return
        self._is_asking = True
        # Both at once: the window draws the change meanwhile, and would ask the second only after that.
        self._engine.validate(data, lambda reply: self._on_validated(data, reply))
        self._engine.estimate(data, lambda reply: self._on_estimated(data, reply))

    def _on_validated(self, data: dict[str, Any], reply: Reply) -> None:
        """What only the techniques themselves can judge; nothing is known of the cost of what they refuse."""
        if self._draft.data == data:
            problems = problems_of(reply)
            self._draft.set_deep_problems([p for p in problems if p.code != "engine-gone"])
        if reply.ok and reply.result.get("deep"):
            self._tell(self.counted, reply.result, data)

    def _on_estimated(self, data: dict[str, Any], reply: Reply) -> None:
        is_newest = self._draft.data == data
        if reply.ok:
            self._estimated = data
            self._tell(self.estimated, reply.result, data)
        elif is_newest:
            self._know_nothing()
        if reply.ok and is_newest:
            self._time_timer.start(TIME_AFTER_MS)
        self._is_asking = False
        self._ask()

    def _tell(self, what: SignalInstance, figures: dict[str, Any], data: dict[str, Any]) -> None:
        what.emit(figures)
        if self._draft.data != data:
            self.outdated.emit()

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
