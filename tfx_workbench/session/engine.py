"""The engine service as Qt signals: started late, asked without waiting, started again when it dies."""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from PySide6.QtCore import QObject, QTimer, Signal

from tfx_engine.protocol.codec import problem_from_data
from tfx_engine.protocol.interleaving import Interleave
from tfx_engine.protocol.messages import (
    Audit,
    Conclude,
    Doctor,
    Estimate,
    Notice,
    Queue,
    Reply,
    Request,
    Submit,
    Validate,
)
from tfx_engine.protocol.problems import Problem

_log = logging.getLogger(__name__)
_RESTARTS = 5  # within the time below; then it waits until it is asked for something
_RESTART_WINDOW_S = 60.0
_FIRST_DELAY_MS = 200
LOOK_MS = 1000  # it is asked for a sign of life so often, unless an answer is still owed
SILENT_LOOKS = 5  # without one it does not respond. Looks, not seconds: a window that slept itself has missed nothing

OnReply = Callable[[Reply], None]


class State(enum.Enum):
    """What the engine is doing, as the window shows it."""

    OFF = "off"
    STARTING = "starting"
    READY = "ready"
    SILENT = "silent"
    GONE = "gone"


class Engine(QObject):
    """Emits `noticed(Notice)` and `state_changed(State, words)` in the window's thread.

    Requests never wait: the callback comes in the window's thread, also when the service dies before it answered.
    """

    noticed = Signal(object)
    state_changed = Signal(object, str)
    restarted = Signal(int)  # exit code of the service that died
    _came = Signal(object)  # a notice, from the client's thread
    _replied = Signal(object, object)  # callback and reply, from the client's thread

    def __init__(
        self, store: Path, on_disconnect: Literal["finish", "stop"] = "finish", parent: QObject | None = None,
        argv: Sequence[str] | None = None,
    ) -> None:
        super().__init__(parent)
        self._store, self._on_disconnect, self._argv = store, on_disconnect, argv
        self._client: Any = None
        self._closing = False
        self._state, self._words = State.OFF, ""
        self._deaths: list[float] = []
        self._unanswered = 0  # looks since a sign of life was asked for
        self._before_silence = (State.OFF, "")
        self._looks = QTimer(self)
        self._looks.setInterval(LOOK_MS)
        self._looks.timeout.connect(self._look)
        self._came.connect(self._on_notice)
        self._replied.connect(lambda callback, reply: callback(reply))

    @property
    def state(self) -> State:
        """What the engine is doing."""
        return self._state

    @property
    def pid(self) -> int | None:
        """The process id of the service, None where there is none."""
        return self._client.pid if self._client is not None else None

    def start(self) -> None:
        """Start the service where none runs; costs a few milliseconds."""
        if self._client is not None or self._closing:
            return
        from tfx_engine.client import Client, ServiceGone  # only now: the window is up

        self._set_state(State.STARTING, self.tr("starting the engine"))
        client = Client(self._store, self._on_disconnect, True, self._emit_notice, self._argv)
        try:
            client.start()
        except ServiceGone as error:
            self._died(None, str(error))
            return
        self._client = client
        self._unanswered = 0
        self._looks.start()

    def close(self) -> None:
        """Disconnect; runs do what `on_disconnect` says."""
        self._closing = True
        self._looks.stop()
        client, self._client = self._client, None
        if client is not None:
            client.close()
        self._state = State.OFF

    # ------------------------------------------------------------------ asking

    def submit(
        self, configs: Sequence[Mapping[str, Any]], toml: Sequence[str], comparison: str, on_reply: OnReply,
        facts: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Queue runs; the reply's `result` is {"runs": [path, ...]}. `facts`: what is known of each beforehand."""
        message = Submit(id=0, configs=[dict(c) for c in configs], toml=list(toml), comparison=comparison,
                         facts=[dict(f) for f in facts])
        self._ask(message, on_reply)

    def compare(
        self, configs: Sequence[Mapping[str, Any]], toml: Sequence[str], comparison: str, asked: Interleave,
        on_reply: OnReply, facts: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Queue runs that take turns; the reply's `result` is {"runs": [path, ...], "control": path or ""}."""
        message = Submit(id=0, configs=[dict(c) for c in configs], toml=list(toml), comparison=comparison,
                         interleave=asked, facts=[dict(fact) for fact in facts])
        self._ask(message, on_reply)

    def conclude(self, comparison: str, reason: str) -> None:
        """End a comparison with the block under way."""
        self._ask(Conclude(id=0, comparison=comparison, reason=reason), _ignore)

    def validate(self, config: Mapping[str, Any], on_reply: OnReply) -> None:
        """Every problem of a configuration, techniques' own checks included."""
        self._ask(Validate(id=0, config=dict(config)), on_reply)

    def estimate(
        self, config: Mapping[str, Any], on_reply: OnReply, level: Literal["instant", "traced"] = "instant"
    ) -> None:
        """What a configuration will cost: by closed forms, or by steps without numbers."""
        self._ask(Estimate(id=0, config=dict(config), level=level), on_reply)

    def step_time(self, config: Mapping[str, Any], on_reply: OnReply) -> None:
        """What a trace of its step says, time and memory; comes later, and gives way to anything else that is asked."""
        self._ask(Estimate(id=0, config=dict(config), level="time"), on_reply)

    def audit(self, config: Mapping[str, Any], run: str, on_reply: OnReply) -> None:
        """Whether techniques do what they claim; `run`: an ended run, whose file keeps it."""
        self._ask(Audit(id=0, config=dict(config), run=run), on_reply)

    def remove_from_queue(self, run: str, on_reply: OnReply) -> None:
        """Take a waiting run out of the queue."""
        self._ask(Queue(id=0, action="remove", run=run), on_reply)

    def adopt(self) -> None:
        """Take on the waiting runs that a dead service, or another window, left in the library."""
        self._ask(Queue(id=0, action="adopt"), _ignore)

    def doctor(self, on_reply: OnReply) -> None:
        """What works on this machine."""
        self._ask(Doctor(id=0), on_reply)

    def _ask(self, message: Request, on_reply: OnReply) -> None:
        from tfx_engine.client import ServiceGone

        self.start()
        if self._client is None:
            on_reply(_refusal(self.tr("The engine cannot be started.")))
            return
        try:
            self._client.request(message, lambda reply: self._emit_reply(on_reply, reply))
        except ServiceGone as error:
            on_reply(_refusal(str(error)))

    # ------------------------------------------------------------------ whether it responds

    def _look(self) -> None:
        from tfx_engine.client import ServiceGone

        if self._client is None:
            return
        if self._unanswered:
            self._unanswered += 1
            if self._unanswered > SILENT_LOOKS and self._state is not State.SILENT:
                self._before_silence = (self._state, self._words)
                self._set_state(State.SILENT, self.tr("the engine does not respond"))
            return
        try:
            self._client.ping(lambda reply: self._emit_reply(self._on_sign, reply))
        except ServiceGone:
            return  # which is said elsewhere
        self._unanswered = 1

    def _on_sign(self, _reply: Reply) -> None:
        self._unanswered = 0
        if self._state is State.SILENT and self._client is not None:
            self._set_state(*self._before_silence)

    # ------------------------------------------------------------------ from the client's thread

    def _emit_notice(self, notice: Notice) -> None:
        if not self._closing:
            self._came.emit(notice)

    def _emit_reply(self, on_reply: OnReply, reply: Reply) -> None:
        if not self._closing:
            self._replied.emit(on_reply, reply)

    # ------------------------------------------------------------------ in the window's thread

    def _on_notice(self, notice: Notice) -> None:
        if self._closing:
            return
        if notice.kind == "gone":
            self._client = None
            self._looks.stop()
            self._died(notice.detail.get("exit_code"), "\n".join(notice.detail.get("last_lines", [])))
            return
        if notice.kind == "warm":
            words = {"starting": self.tr("importing torch"), "ready": self.tr("ready"), "died": self.tr("worker died"),
                     "given-up": self.tr("no worker")}
            self._unanswered = min(self._unanswered, 1)  # it lives
            state = {"ready": State.READY, "given-up": State.GONE}.get(notice.detail.get("state", ""), State.STARTING)
            self._set_state(state, words.get(notice.detail.get("state", ""), ""))
        self.noticed.emit(notice)

    def _died(self, exit_code: int | None, last_lines: str) -> None:
        _log.warning("the engine service ended (exit code %s)\n%s", exit_code, last_lines)
        now = time.monotonic()
        self._deaths = [t for t in self._deaths if now - t < _RESTART_WINDOW_S] + [now]
        self._set_state(State.GONE, self.tr("engine ended"))
        if len(self._deaths) > _RESTARTS:
            return
        QTimer.singleShot(_FIRST_DELAY_MS * 2 ** (len(self._deaths) - 1), self, self.adopt)  # which starts it
        self.restarted.emit(exit_code if exit_code is not None else -1)

    def _set_state(self, state: State, words: str) -> None:
        self._state, self._words = state, words
        self.state_changed.emit(state, words)


def problems_of(reply: Reply) -> tuple[Problem, ...]:
    """The problems that a reply carries."""
    return tuple(problem_from_data(p) for p in reply.problems)


def _refusal(message: str) -> Reply:
    problem = {"code": "engine-gone", "path": "", "template": "{message}", "args": {"message": message}}
    return Reply(id=0, ok=False, problems=[problem])


def _ignore(_reply: Reply) -> None:
    """For requests whose answer changes nothing."""
