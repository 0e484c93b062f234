"""The questions that take a second, what a trace of the step says, answered by a thread of its own beside others.

They wait while another is being answered, so that figures of every toggle come at once. That for the time of a step is
broken off when it is asked again, and all are when the worker is given its run.
"""

from __future__ import annotations

import contextlib
import functools
import queue
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfx_engine.model.validate import validate
from tfx_engine.protocol.codec import problem_to_data, superseded
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.messages import Reply
from tfx_engine.protocol.problems import ConfigError, Problem, errors_among
from tfx_engine.protocol.worker_messages import Predict
from tfx_engine.trace.manners import BrokenOff, Manners
from tfx_engine.worker.failure import in_a_sentence
from tfx_engine.worker.predicting import figures, predict

_LONGEST_S = 1.0  # that it waits for one answer: some take as long as itself


class Beside:
    """`send` gets the replies, from the thread."""

    def __init__(self, send: Callable[[Reply], None]) -> None:
        self._send = send
        self._questions: queue.SimpleQueue[Predict] = queue.SimpleQueue()
        self._wanted: dict[int, str] = {}  # the level by number; replaced as a whole: two threads look
        self._free = threading.Event()
        self._free.set()
        threading.Thread(target=self._work, name="traces", daemon=True).start()

    def ask(self, question: Predict) -> None:
        """Answer this one; if it is for the time of a step, none of these before it."""
        others = {n: level for n, level in self._wanted.items() if question.level != "time" or level != "time"}
        self._wanted = {**others, question.id: question.level}
        self._questions.put(question)

    def drop(self) -> None:
        """Nobody waits any more."""
        self._wanted = {}

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
            self._send(_answered(question, Manners(self._pause, functools.partial(self._is_over, question.id))))

    def _is_over(self, number: int) -> bool:
        return number not in self._wanted


def _answered(question: Predict, manners: Manners) -> Reply:
    try:
        manners.go_on()
        config, problems = parse_config(question.config)
        if problems:
            raise ConfigError(problems)
        answer = _timed if question.level == "time" else predict
        result = answer(config, "traced", question.device_memory, manners)
    except BrokenOff:
        return superseded(question.id)
    except Exception as error:
        return Reply(id=question.id, ok=False, problems=[problem_to_data(problem) for problem in problems_in(error)])
    return Reply(id=question.id, ok=True, result=result)


def _timed(config: Config, level: str, device_memory: int | None, manners: Manners) -> dict[str, Any]:
    """Of what can be run here."""
    if problems := errors_among(validate(config)):
        raise ConfigError(problems)
    return figures(config, level, device_memory, manners=manners)


def problems_in(error: Exception) -> Sequence[Problem]:
    """What was refused; or that the judging itself failed, as it may where a technique is the user's own."""
    if isinstance(error, ConfigError):
        return error.problems
    traceback.print_exception(error)  # descriptors 1 and 2 are the log here
    return [Problem(
        code="not-judged", path="techniques", template="cannot be judged: {error}.",
        args={"error": in_a_sentence(error).rstrip(".")},
    )]
