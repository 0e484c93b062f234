"""Questions to the warm worker: one at a time, but for that for a step's time, which holds up nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tfx_engine.protocol.messages import Estimate, Reply
from tfx_engine.service.events import Events
from tfx_engine.service.questions import Questions

TRACED = Estimate(id=0, config={}, level="traced")
TIME = Estimate(id=0, config={}, level="time")
INSTANT = Estimate(id=0, config={}, level="instant")


class Heard:
    """Stands in for a worker: keeps what it is told."""

    def __init__(self) -> None:
        self.ids: list[int] = []

    def send(self, message: Any) -> None:
        self.ids.append(message.id)


@pytest.fixture
def questions() -> Questions:
    return Questions(Events())


@pytest.fixture
def said() -> dict[str, tuple[Reply | None, str]]:
    return {}


def put(questions: Questions, said: dict[str, Any], name: str, request: Estimate) -> None:
    questions.predict(request, {}, lambda reply, reason: said.update({name: (reply, reason)}))


def test_one_question_at_a_time(questions, said):
    worker: Any = Heard()
    put(questions, said, "a", INSTANT)
    put(questions, said, "b", INSTANT)
    questions.ask(worker)
    questions.ask(worker)
    assert worker.ids == [1] and questions
    questions.answered(worker, Reply(id=1, ok=True))
    questions.ask(worker)
    questions.answered(worker, Reply(id=2, ok=True))
    assert worker.ids == [1, 2] and set(said) == {"a", "b"} and not questions


def test_a_question_for_the_time_holds_up_neither_others_nor_a_run(questions, said):
    worker: Any = Heard()
    put(questions, said, "time", TIME)
    questions.ask(worker)
    assert worker.ids == [1] and not questions, "a run does not wait for it"
    put(questions, said, "b", INSTANT)
    put(questions, said, "c", INSTANT)
    questions.ask(worker)
    assert worker.ids == [1, 2], "and of the others there is still one at a time"
    questions.answered(worker, Reply(id=1, ok=False))
    questions.answered(worker, Reply(id=2, ok=True))
    questions.ask(worker)
    assert worker.ids == [1, 2, 3] and set(said) == {"time", "b"}
    questions.give_up("enough")


def test_a_trace_holds_up_a_run_and_other_traces_and_nothing_else(questions, said):
    worker: Any = Heard()
    for name, level in (("a", TRACED), ("b", TRACED), ("c", INSTANT), ("d", TIME)):
        put(questions, said, name, level)
    questions.ask(worker)
    assert worker.ids == [1, 3] and questions, "one trace, and beside it what is answered at once"
    questions.answered(worker, Reply(id=3, ok=True))
    questions.ask(worker)
    assert worker.ids == [1, 3, 4], "the time gives way by itself"
    questions.answered(worker, Reply(id=1, ok=True))
    questions.ask(worker)
    assert worker.ids == [1, 3, 4, 2] and set(said) == {"a", "c"}
    questions.answered(worker, Reply(id=2, ok=True))
    assert not questions
    questions.give_up("enough")


def test_of_questions_for_the_time_only_the_newest_waits(questions, said):
    put(questions, said, "a", TIME)
    put(questions, said, "b", TIME)
    assert said["a"][0].problems[0]["code"] == "superseded" and "b" not in said
    questions.give_up("enough")
    assert said["b"] == (None, "enough")


def test_a_worker_that_dies_over_one_leaves_those_behind_it_to_the_next(questions, said):
    first, second = Heard(), Heard()
    put(questions, said, "time", TIME)
    put(questions, said, "check", INSTANT)
    questions.ask(first)  # type: ignore[arg-type]
    assert first.ids == [1, 2]
    questions.worker_gone(second, "")  # type: ignore[arg-type]
    questions.worker_gone(first, "killed")  # type: ignore[arg-type]
    assert said == {"time": (None, "killed")} and questions
    questions.ask(second)  # type: ignore[arg-type]
    assert second.ids == [2]
    assert questions.unanswered(2) is second and questions.unanswered(2) is None
    assert "longer than" in said["check"][1]


def test_the_time_that_a_run_s_worker_still_owes_is_not_asked_of_the_next(questions, said):
    first, second = Heard(), Heard()
    put(questions, said, "time", TIME)
    questions.ask(first)  # type: ignore[arg-type]
    put(questions, said, "b", INSTANT)
    questions.ask(second)  # type: ignore[arg-type]
    questions.answered(first, Reply(id=1, ok=True))  # type: ignore[arg-type]
    questions.answered(second, Reply(id=2, ok=True))  # type: ignore[arg-type]
    assert set(said) == {"time", "b"}
