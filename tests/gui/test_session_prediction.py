"""What the strip before a run is told, and when: figures at once, the time of a step when somebody has stopped."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QObject, Signal

from tests.helpers.windows import spend, wait
from tfx_engine.protocol.messages import Notice, Reply
from tfx_workbench.session.draft import Draft
from tfx_workbench.session.prediction import Prediction

FIGURES = {"memory_bytes": {"peak": 1}}
TIME = {"step_ms": 3.0}


class StandIn(QObject):
    """An engine that answers at once, but for the time of a step."""

    noticed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.owed: list[Any] = []

    def validate(self, config: Any, on_reply: Any) -> None:
        self.asked.append("validate")
        on_reply(Reply(id=1, ok=True, result={"deep": True}))

    def estimate(self, config: Any, on_reply: Any) -> None:
        self.asked.append("estimate")
        on_reply(Reply(id=2, ok=True, result=FIGURES))

    def step_time(self, config: Any, on_reply: Any) -> None:
        self.asked.append("time")
        self.owed.append(on_reply)


class Told:
    """What came, in order."""

    def __init__(self, prediction: Prediction) -> None:
        self.all: list[tuple[str, Any]] = []
        for name in ("estimated", "timed"):
            getattr(prediction, name).connect(lambda value, name=name: self.all.append((name, value)))


@pytest.fixture
def engine(qapp: object) -> StandIn:
    return StandIn()


@pytest.fixture
def draft(qapp: object) -> Draft:
    return Draft()


@pytest.fixture
def prediction(draft: Draft, engine: StandIn, monkeypatch: pytest.MonkeyPatch) -> Prediction:
    for name in ("TIME_AFTER_MS", "AGAIN_AFTER_MS"):
        monkeypatch.setattr(f"tfx_workbench.session.prediction.{name}", 1)
    return Prediction(draft, engine)  # type: ignore[arg-type]


def test_the_time_is_asked_after_the_figures_and_told_after_them(prediction: Prediction, engine: StandIn) -> None:
    told = Told(prediction)
    prediction.look()
    wait(lambda: bool(engine.owed))
    assert engine.asked == ["validate", "estimate", "time"] and told.all == [("estimated", FIGURES)]
    engine.owed[0](Reply(id=3, ok=True, result=TIME))
    assert told.all[-1] == ("timed", TIME)


def test_a_time_of_an_older_draft_is_not_told(prediction: Prediction, draft: Draft, engine: StandIn) -> None:
    told = Told(prediction)
    prediction.look()
    wait(lambda: bool(engine.owed))
    draft.set_value("run.batch", 3)
    engine.owed[0](Reply(id=3, ok=True, result=TIME))
    assert all(name == "estimated" for name, _ in told.all)
    wait(lambda: len(engine.owed) == 2)


def test_what_was_superseded_is_asked_again_and_what_is_refused_says_why(
    prediction: Prediction, engine: StandIn
) -> None:
    told = Told(prediction)
    prediction.look()
    wait(lambda: bool(engine.owed))
    problem = {"code": "superseded", "path": "", "template": "Something else."}
    engine.owed[0](Reply(id=3, ok=False, problems=[problem]))
    wait(lambda: len(engine.owed) == 2)
    engine.owed[1](Reply(id=4, ok=False, problems=[{**problem, "code": "run-under-way", "template": "A run."}]))
    assert told.all[-1] == ("timed", {"missing": {"step_ms": "A run."}})
    engine.noticed.emit(Notice(kind="ended", run="a"))
    wait(lambda: len(engine.owed) == 3)


def test_nothing_is_asked_where_no_figures_are_shown(prediction: Prediction, engine: StandIn) -> None:
    engine.noticed.emit(Notice(kind="ended", run="a"))
    spend(0.03)
    assert engine.asked == []


class Slow(StandIn):
    """An engine whose answers come when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []
        self.waiting: list[Any] = []

    def validate(self, config: Any, on_reply: Any) -> None:
        self.batches.append(config["run"]["batch"])
        self.waiting.append(lambda: on_reply(Reply(id=1, ok=True, result={"deep": True})))

    def estimate(self, config: Any, on_reply: Any) -> None:
        self.waiting.append(lambda: on_reply(Reply(id=2, ok=True, result={"of": config["run"]["batch"]})))


def test_a_value_that_is_dragged_is_asked_at_once_and_then_as_fast_as_answers_come(draft: Draft) -> None:
    engine = Slow()
    prediction = Prediction(draft, engine)  # type: ignore[arg-type]
    told = Told(prediction)
    prediction.outdated.connect(lambda: told.all.append(("outdated", None)))
    for batch in (2, 3, 4):
        draft.set_value("run.batch", batch)
    assert engine.batches == [2], "the first at once, without a timer; none behind it"
    engine.waiting.pop(0)()
    engine.waiting.pop(0)()
    assert told.all[-2:] == [("estimated", {"of": 2}), ("outdated", None)], "told, as older than the draft"
    assert engine.batches == [2, 4], "of what came meanwhile only the newest"
    engine.waiting.pop(0)()
    engine.waiting.pop(0)()
    assert told.all[-1] == ("estimated", {"of": 4}) and not engine.waiting


def test_where_the_draft_became_wrong_meanwhile_nothing_is_known_in_the_end(draft: Draft) -> None:
    engine = Slow()
    prediction = Prediction(draft, engine)  # type: ignore[arg-type]
    told = Told(prediction)
    draft.set_value("run.batch", 2)
    draft.set_value("run.batch", -1)
    engine.waiting.pop(0)()
    engine.waiting.pop(0)()
    assert engine.batches == [2] and told.all[-1] == ("estimated", {})
    draft.set_value("run.batch", 5)
    assert engine.batches == [2, 5]
