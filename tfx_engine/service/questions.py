"""What only a worker can answer (deep checks, estimates, devices), put to the warm worker one question at a time.

One at a time, so that the pipe to a worker never fills up and a crash is known to belong to one question.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from dataclasses import dataclass

from tfx_engine.protocol.messages import Estimate, Reply
from tfx_engine.protocol.worker_messages import Check, Examine, Predict
from tfx_engine.service.worker_process import WorkerProcess

Answer = Callable[[Reply | None, str], None]  # the worker's reply, or None and the reason why there is none


@dataclass(frozen=True)
class Question:
    """A message to a worker and who wants to know."""

    message: Check | Predict | Examine
    answer: Answer


class Questions:
    """Questions waiting, and the one that a worker is thinking about."""

    def __init__(self) -> None:
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

    def examine(self, answer: Answer) -> None:
        """Ask what torch and the devices can do."""
        self._numbers += 1
        self._waiting.append(Question(Examine(id=self._numbers), answer))

    def ask(self, worker: WorkerProcess) -> None:
        """Put the next question to a worker that is ready, unless one is still being thought about."""
        if self._waiting and self._asked is None:
            self._asked, self._worker = self._waiting.popleft(), worker
            worker.send(self._asked.message)

    def answered(self, worker: WorkerProcess, reply: Reply) -> None:
        """A worker replied; a reply to no question is ignored."""
        asked = self._asked
        if asked is not None and worker is self._worker and reply.id == asked.message.id:
            self._asked = self._worker = None
            asked.answer(reply, "")

    def worker_gone(self, worker: WorkerProcess, reason: str) -> None:
        """The question that a worker died over has no answer; those waiting are for the next worker."""
        if self._asked is not None and worker is self._worker:
            asked, self._asked, self._worker = self._asked, None, None
            asked.answer(None, reason)

    def give_up(self, reason: str) -> None:
        """There is no worker to ask, or nobody to ask for: every question is answered with the reason."""
        asked, self._asked, self._worker = self._asked, None, None
        if asked is not None:
            asked.answer(None, reason)
        while self._waiting:
            self._waiting.popleft().answer(None, reason)
