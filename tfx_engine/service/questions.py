"""What only a worker can answer (deep checks, estimates, devices), put to the warm worker one question at a time.

One at a time, so that the pipe to a worker never fills up and a crash is known to belong to one question. Only a trace
of the step, which takes a second, does not hold up others: the worker answers it beside them, also one at a time. A
worker that takes too long for one, since somebody's technique does, is given up.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tfx_engine.protocol.codec import superseded
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

    @property
    def is_beside(self) -> bool:
        """Whether the worker answers it beside others, after them."""
        return isinstance(self.message, Predict) and self.message.level != "instant"

    @property
    def gives_way(self) -> bool:
        """Whether a run does not wait for it, and only the newest of its kind counts."""
        return isinstance(self.message, Predict) and self.message.level == "time"


@dataclass(frozen=True, eq=False)
class _Asked:
    """A question that a worker has, and the end of the patience with it."""

    question: Question
    worker: WorkerProcess
    timer: threading.Timer


class Questions:
    """Questions waiting, and those that a worker has: one, behind such as give way to it."""

    def __init__(self, events: Events) -> None:
        self._events = events
        self._waiting: collections.deque[Question] = collections.deque()
        self._asked: list[_Asked] = []
        self._numbers = 0

    def __bool__(self) -> bool:
        """Whether anything is open for which a run would wait, or a worker be started."""
        return any(not q.gives_way for q in (*self._waiting, *(asked.question for asked in self._asked)))

    def check(self, config: dict[str, object], answer: Answer) -> None:
        """Ask for every problem of a resolved configuration."""
        self._numbers += 1
        self._waiting.append(Question(Check(id=self._numbers, config=config), answer))

    def predict(self, request: Estimate, config: dict[str, object], answer: Answer) -> None:
        """Ask what a resolved configuration will cost."""
        self._numbers += 1
        message = Predict(id=self._numbers, config=config, level=request.level, device_memory=request.device_memory)
        question = Question(message, answer)
        if question.gives_way:
            self._supersede()
        self._waiting.append(question)

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
        while (question := self._next()) is not None:
            self._waiting.remove(question)
            timer = threading.Timer(PATIENCE_S, self._events.put, (Unanswered(question.message.id),))
            timer.daemon = True
            timer.start()
            self._asked.append(_Asked(question, worker, timer))
            worker.send(question.message)

    def _next(self) -> Question | None:
        """The first for which nothing that is asked already must be answered before."""
        asked = [asked.question for asked in self._asked]
        if not all(question.is_beside for question in asked):
            return None
        is_tracing = any(not question.gives_way for question in asked)
        return next((q for q in self._waiting if not (is_tracing and q.is_beside and not q.gives_way)), None)

    def unanswered(self, number: int) -> WorkerProcess | None:
        """The time for a question is over: where it is still asked it has no answer, and its worker is returned."""
        found = next((asked for asked in self._asked if asked.question.message.id == number), None)
        if found is None:
            return None
        self.worker_gone(found.worker, _TOO_LONG.format(seconds=PATIENCE_S))
        return found.worker

    def answered(self, worker: WorkerProcess, reply: Reply) -> None:
        """A worker replied; a reply to no question is ignored."""
        for asked in self._asked:
            if asked.question.message.id == reply.id and asked.worker is worker:
                self._no_longer([asked])
                asked.question.answer(reply, "")
                return

    def worker_gone(self, worker: WorkerProcess, reason: str) -> None:
        """The question that a worker died over has no answer; those behind it are for the next worker."""
        its = [asked for asked in self._asked if asked.worker is worker]
        self._no_longer(its)
        self._waiting.extendleft(asked.question for asked in reversed(its[1:]))
        for asked in its[:1]:
            asked.question.answer(None, reason)

    def give_up(self, reason: str) -> None:
        """There is no worker to ask, or nobody to ask for: every question is answered with the reason."""
        its = self._asked
        self._no_longer(its)
        for asked in its:
            asked.question.answer(None, reason)
        while self._waiting:
            self._waiting.popleft().answer(None, reason)

    def _supersede(self) -> None:
        """Of questions that give way only the newest waits."""
        older = [question for question in self._waiting if question.gives_way]
        for question in older:
            self._waiting.remove(question)
            question.answer(superseded(question.message.id), "")

    def _no_longer(self, its: list[_Asked]) -> None:
        self._asked = [asked for asked in self._asked if asked not in its]
        for asked in its:
            asked.timer.cancel()
