"""The one question that takes a second, what a trace of the step says, answered by a thread of its own beside others.

It waits while another is being answered, so that figures of every toggle come at once, and it is broken off when it is
asked again, or when the worker is given its run.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence

from tfx_engine.model.validate import validate
from tfx_engine.protocol.codec import problem_to_data, superseded
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.messages import Reply
from tfx_engine.protocol.problems import ConfigError, Problem, errors_among
from tfx_engine.protocol.worker_messages import Predict
from tfx_engine.trace.manners import BrokenOff, Manners
from tfx_engine.worker.failure import in_a_sentence
from tfx_engine.worker.predicting import figures

_LONGEST_S = 1.0  # that it waits for one answer: some take as long as itself
_NOBODY = -1


class Beside:
    """`send` gets the replies, from the thread."""

    def __init__(self, send: Callable[[Reply], None]) -> None:
        self._send = send
        self._questions: queue.SimpleQueue[Predict] = queue.SimpleQueue()
        self._newest = _NOBODY
        self._free = threading.Event()
        self._free.set()
        threading.Thread(target=self._work, name="step time", daemon=True).start()

    def ask(self, question: Predict) -> None:
        """Answer this one, and none before it."""
        self._newest = question.id
        self._questions.put(question)

    def drop(self) -> None:
        """Nobody waits any more."""
        self._newest = _NOBODY

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Something else is being answered."""
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    def _pause(self) -> None:
        if not self._free.is_set():
            self._free.wait(_LONGEST_S)

    def _work(self) -> None:
        while True:
            question = self._questions.get()
            self._pause()
            self._send(_timed(question, Manners(self._pause, functools.partial(self._is_over, question.id))))

    def _is_over(self, number: int) -> bool:
        return number != self._newest


def _timed(question: Predict, manners: Manners) -> Reply:
    try:
        manners.go_on()
        config, problems = parse_config(question.config)
        if found := [*problems, *errors_among([] if problems else validate(config))]:
            raise ConfigError(found)
        result = figures(config, "traced", question.device_memory, manners=manners)
    except BrokenOff:
        return superseded(question.id)
    except Exception as error:
        return Reply(id=question.id, ok=False, problems=[problem_to_data(problem) for problem in problems_in(error)])
    return Reply(id=question.id, ok=True, result=result)


def problems_in(error: Exception) -> Sequence[Problem]:
    """What was refused; or that the judging itself failed, as it may where a technique is the user's own."""
    if isinstance(error, ConfigError):
        return error.problems
    traceback.print_exception(error)  # descriptors 1 and 2 are the log here
    return [Problem(
        code="not-judged", path="techniques", template="cannot be judged: {error}.",
        args={"error": in_a_sentence(error).rstrip(".")},
    )]
