"""What only a worker can answer (deep checks, estimates, devices), put to the warm worker one question at a time.

One at a time, so that the pipe to a worker never fills up and a crash is known to belong to one question. A worker that
takes too long for one, since somebody's technique does, is given up.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.messages import Estimate, Reply
from tfx_engine.protocol.worker_messages import Check, Examine, Predict, Prove
from tfx_engine.service.events import Events, Unanswered
from tfx_engine.service.worker_process import WorkerProcess

PATIENCE_S = 120.0  # for one question; nearly all are answered within milliseconds
_TOO_LONG = tr_mark("It took longer than {seconds:.0f} s.")

Answer = Callable[[Reply | None, str], None]  # the worker's reply, or None and the reason why there is none


@dataclass(frozen=True)
class Question:
    """A message to a worker and who wants to know."""

    message: Check | Predict | Prove | Examine
    answer: Answer


class Questions:
    """Questions waiting, and the one that a worker is thinking about."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._timer: threading.Timer | None = None
        self._waiting: collections.deque[Question] = collections.deque()
        self._asked: Question | None = None
        self._worker: WorkerProcess | None = None
        self._numbers = 0

    def __bool__(self) -> bool:
        return bool(self._waiting) or self._asked is not None

    def check(self, config: dict[str, object], answer: Answer) -> None:
        """Ask for every problem of a resolved configuration."""
        self._numbers += 1
        self._waiting.append(Question(Check(id=self._numbers, config=config), answer))

    def predict(self, request: Estimate, config: dict[str, object], answer: Answer) -> None:
        """Ask what a resolved configuration will cost."""
        self._numbers += 1
        message = Predict(id=self._numbers, config=config, level=request.level, device_memory=request.device_memory)
        self._waiting.append(Question(message, answer))

    def prove(self, config: dict[str, object], run: str, answer: Answer) -> None:
        """Ask whether the techniques of a resolved configuration do what they claim."""
        self._numbers += 1
        self._waiting.append(Question(Prove(id=self._numbers, config=config, run=run), answer))

    def examine(self, answer: Answer, measure: bool = False) -> None:
        """Ask what torch and the devices can do."""
        self._numbers += 1
        self._waiting.append(Question(Examine(id=self._numbers, measure=measure), answer))

    def ask(self, worker: WorkerProcess) -> None:
        """Put the next question to a worker that is ready, unless one is still being thought about."""
        if self._waiting and self._asked is None:
            self._asked, self._worker = self._waiting.popleft(), worker
            self._timer = threading.Timer(PATIENCE_S, self._events.put, (Unanswered(self._asked.message.id),))
            self._timer.daemon = True
            self._timer.start()
            worker.send(self._asked.message)

    def unanswered(self, number: int) -> WorkerProcess | None:
        """The time for a question is over: where it is still asked it has no answer, and its worker is returned."""
        worker = self._worker
        if self._asked is None or worker is None or self._asked.message.id != number:
            return None
        self.worker_gone(worker, _TOO_LONG.format(seconds=PATIENCE_S))
        return worker

    def answered(self, worker: WorkerProcess, reply: Reply) -> None:
        """A worker replied; a reply to no question is ignored."""
        asked = self._asked
        if asked is not None and worker is self._worker and reply.id == asked.message.id:
            self._no_longer_asked()
            asked.answer(reply, "")

    def worker_gone(self, worker: WorkerProcess, reason: str) -> None:
        """The question that a worker died over has no answer; those waiting are for the next worker."""
        asked = self._asked
        if asked is not None and worker is self._worker:
            self._no_longer_asked()
            asked.answer(None, reason)

    def give_up(self, reason: str) -> None:
        """There is no worker to ask, or nobody to ask for: every question is answered with the reason."""
        asked = self._asked
        self._no_longer_asked()
        if asked is not None:
            asked.answer(None, reason)
        while self._waiting:
            self._waiting.popleft().answer(None, reason)

    def _no_longer_asked(self) -> None:
        self._asked = self._worker = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
