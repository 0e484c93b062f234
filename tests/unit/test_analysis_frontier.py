"""What fits, predicted and confirmed, against a memory of which all is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tfx_engine.api import load_config
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_engine.worker.predicting import figures
from tfx_workbench.analysis.frontier import (
    Answer,
    Ask,
    Asking,
    Frontier,
    answer_of,
    confirming,
    frontier_of,
    predicting,
    taken_bytes,
)
from tfx_workbench.analysis.frontier_file import NAME, keep_frontier, read_frontiers

CONFIG: dict[str, Any] = {"name": "mine", "run": {"batch": 4}, "techniques": {"recompute": {"use": "a", "every": 2}}}
LEAST, MOST = 1000, 1_000_000
WRONG = Problem(code="wrong", path="techniques.adapter", template="is wrong here.")


def peak(config: dict[str, Any], error: float = 1.0) -> int:
    a_sample = 40 if config["techniques"]["recompute"]["use"] == "b" else 100
    return round(error * (LEAST + a_sample * config["run"]["batch"]))


class Engine:
    """Answers as an engine would; `measured` and `instant` are off by a factor."""

    def __init__(self, measured: float = 1.0, instant: float = 1.05, device_bytes: int | None = MOST) -> None:
        self.measured, self.instant, self.device_bytes = measured, instant, device_bytes
        self.asked: list[Ask] = []

    def __call__(self, ask: Ask) -> Answer:
        self.asked.append(ask)
        if ask.kind == "check":
            is_wrong = ask.row.technique.startswith("adapter")
            return Answer(problems=[WRONG] if is_wrong else [])
        if ask.kind == "run":
            return Answer(peak_bytes=peak(ask.config, self.measured), run=f"{len(self.asked)}.tfx")
        if ask.config["run"]["batch"] > 5000:
            return Answer(problems=[WRONG], reason=WRONG.sentence())
        size = peak(ask.config, self.instant if ask.kind == "instant" else 1.0)
        return Answer(peak_bytes=size, device_bytes=self.device_bytes, level=ask.kind, step_ms=10.0)


def drive(asking: Asking, answer: Callable[[Ask], Answer]) -> None:
    try:
        ask = next(asking)
        while True:
            ask = asking.send(answer(ask))
    except StopIteration:
        return


def predicted(engine: Engine, capacity: int | None = 41_000, *techniques: str) -> Frontier:
    found = frontier_of(CONFIG, "batch", techniques or ("recompute=b", "adapter=lora"), capacity)
    drive(predicting(found), engine)
    return found


def test_each_technique_has_the_value_beyond_which_it_does_not_fit() -> None:
    engine = Engine()
    plain, changed, wrong = predicted(engine).rows
    assert (plain.value, plain.predicted_bytes, plain.headroom_bytes, plain.level) == (400, 41_000, 0, "traced")
    assert (changed.value, changed.predicted_bytes) == (1000, 41_000)
    assert (wrong.value, wrong.reason) == (None, WRONG.sentence())
    kinds = [ask.kind for ask in engine.asked]
    assert kinds == sorted(kinds, key=["check", "instant", "traced"].index), "closed forms come first, for all rows"
    traced = [ask.config["run"]["batch"] for ask in engine.asked if ask.kind == "traced" and not ask.row.technique]
    assert len(traced) <= 4, "the closed form has said where to begin"
    assert {"use": "b"} in [ask.config["techniques"]["recompute"] for ask in engine.asked], "without options of another"


def test_what_the_configuration_itself_or_a_technique_that_was_asked_for_does_wrong_is_refused() -> None:
    found = frontier_of(CONFIG, "batch", ["adapter=lora"])
    with pytest.raises(ConfigError, match="is wrong here"):
        drive(predicting(found, ["adapter=lora"]), Engine())
    for setting in ("recompute", "recompute=", "=b"):
        with pytest.raises(ConfigError, match="slot=technique"):
            frontier_of(CONFIG, "batch", [setting])


def test_what_does_not_fit_at_all_says_what_it_needs() -> None:
    row = predicted(Engine(), 1050, "recompute=b").rows[0]
    assert (row.value, row.predicted_bytes, row.headroom_bytes) == (None, 1100, -50)
    assert row.reason == "not even the smallest fits"


def test_what_ends_it_other_than_memory_is_said() -> None:
    row = predicted(Engine(), 10**9).rows[0]
    assert row.value == 5000 and row.reason == WRONG.sentence()


def test_a_device_whose_memory_nobody_knows_has_no_frontier_and_says_so() -> None:
    found = predicted(Engine(device_bytes=None), None)
    assert [row.value for row in found.rows] == [None] * 3 and "--device-memory" in found.rows[0].reason
    known = predicted(Engine(), None)
    assert known.capacity_bytes == MOST and known.rows[0].value is not None


class WithMargin(Engine):
    """Its peaks may be a tenth larger or smaller, and a process takes 500 beside them."""

    def __call__(self, ask: Ask) -> Answer:
        answer = super().__call__(ask)
        if answer.peak_bytes is None or ask.kind == "run":
            return answer
        return dataclasses.replace(
            answer, needed_bytes=round(1.1 * answer.peak_bytes) + 500, least_bytes=round(0.9 * answer.peak_bytes) + 500,
            context_bytes=500, free_bytes=44_500, errors=(0.5, 10.0, 7))


def test_what_fits_does_so_with_the_error_of_its_prediction_and_the_row_tells_it() -> None:
    found = predicted(WithMargin(), None)
    row = found.rows[0]
    assert found.capacity_bytes == 44_500, "what is free, not what there is"
    assert (row.value, row.predicted_bytes, row.needed_bytes, row.headroom_bytes) == (390, 40_000, 44_500, 0)
    assert (row.error_percent, row.error_95_percent, row.error_runs) == (0.5, 10.0, 7)
    drive(confirming(found, row), Engine())
    assert row.measured_bytes == 40_000 and row.headroom_bytes == 44_500 - 500 - 40_000


def test_where_the_smallest_is_too_close_to_tell_nobody_says_that_it_does_not_fit() -> None:
    assert predicted(WithMargin(), 1600).rows[0].reason == "even the smallest is too close to the limit to tell"
    assert predicted(WithMargin(), 1400).rows[0].reason == "not even the smallest fits"


def test_a_frontier_says_the_same_as_an_estimate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFX_HOME", str(tmp_path))
    limit, config = 64 * 2**20, {"model": {"width": 32, "layers": 1, "heads": 2, "context": 32},
                                 "data": {"task": "copy"}, "run": {"device": "cpu", "threads": 1}}

    def verdict(batch: int) -> dict[str, Any]:
        return figures(load_config({**config, "run": {**config["run"], "batch": batch}}), device_memory=limit)

    found = frontier_of(config, "batch", [], limit)
    drive(predicting(found), lambda ask: Answer() if ask.kind == "check" else answer_of(
        verdict(ask.config["run"].get("batch", 8))))
    value = found.rows[0].value
    assert value is not None and found.rows[0].error_95_percent == 15.0
    assert verdict(value)["fits"] is True and verdict(value + 1)["fits"] is None


def test_a_run_confirms_what_was_predicted() -> None:
    found, engine = predicted(Engine()), Engine(measured=0.99)
    for row in found.rows:
        drive(confirming(found, row), engine)
    plain, changed, wrong = found.rows
    assert (plain.value, plain.measured_bytes, plain.headroom_bytes) == (400, 40_590, 410)
    assert plain.runs == ["1.tfx"] and plain.reason == "" and changed.measured_bytes is not None
    assert wrong.runs == [] and wrong.reason == WRONG.sentence()
    config = engine.asked[0].config
    assert config["name"] == "mine batch 400" and config["run"]["measure_steps"] == 2 and not config["run"]["audit"]


def test_what_did_not_fit_after_all_is_tried_smaller() -> None:
    found, engine = predicted(Engine()), Engine(measured=1.02)
    drive(confirming(found, found.rows[0]), engine)
    row = found.rows[0]
    assert row.value == 391 and row.predicted_value == 400 and row.measured_bytes == 40_902
    assert row.predicted_bytes == 40_100 and len(row.runs) == 2 and row.reason == "400 was predicted to fit and did not"


def test_runs_that_never_fit_leave_no_value() -> None:
    found = predicted(Engine())
    drive(confirming(found, found.rows[0]), Engine(measured=90.0))
    assert found.rows[0].value is None and len(found.rows[0].runs) == 3


def test_what_fits_into_a_device_that_is_not_here_is_told_and_not_tried() -> None:
    absent = Problem(code="no-such-device", path="run.device", template="is not here.")

    class Elsewhere(Engine):
        def __call__(self, ask: Ask) -> Answer:
            return Answer(problems=[absent]) if ask.kind == "check" else super().__call__(ask)

    found, engine = predicted(Elsewhere(), 41_000, "recompute=b"), Engine()
    drive(confirming(found, found.rows[0]), engine)
    assert found.rows[0].value == 400 and not engine.asked and "is not here" in found.rows[0].reason
    with pytest.raises(ConfigError, match="is not here"):
        predicted(Elsewhere(), None)


@pytest.mark.parametrize(("values", "said"), [
    ({"device": "cpu", "free_bytes": 80_000}, "most of this machine's memory"),
    ({"device_bytes": 30_000}, "this device has less memory"),
])
def test_what_this_machine_cannot_try_is_not_tried(values: dict[str, Any], said: str) -> None:
    found, engine = predicted(Engine()), Engine()
    for name, value in values.items():
        setattr(found, name, value)
    drive(confirming(found, found.rows[0]), engine)
    assert not engine.asked and said in found.rows[0].reason and found.rows[0].value == 400


def test_a_step_of_minutes_is_not_tried() -> None:
    found, engine = predicted(Engine()), Engine()
    found.rows[0].step_ms = 90_000
    drive(confirming(found, found.rows[0]), engine)
    assert not engine.asked and "minutes" in found.rows[0].reason


def test_frontiers_are_kept_one_for_each_thing_that_grows(tmp_path: Path) -> None:
    store = tmp_path / "runs"
    batch = predicted(Engine())
    keep_frontier(store, batch)
    layers = frontier_of(CONFIG, "layers", [])
    keep_frontier(store, layers)
    assert read_frontiers(store) == {"batch": batch, "layers": layers}
    assert [file.name for file in store.iterdir()] == [NAME]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": 1, "frontiers": {"batch": 3}}', "\x00", '{"schema": 1}'])
def test_a_file_that_is_none_of_ours_holds_no_frontier(text: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(text)
    assert read_frontiers(tmp_path) == {}


def test_a_run_without_a_peak_took_what_its_allocator_held():
    memory = {"peak": 3, "step_peak": 4, "reserved": 9}
    assert taken_bytes(memory) == 3 and taken_bytes({**memory, "peak": None}) == 4
    assert taken_bytes({**memory, "peak": None, "step_peak": None}) == 9
    assert taken_bytes(dict.fromkeys(memory)) is None
