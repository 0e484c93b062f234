"""Turns: a run steps only in its own and gives it back with everything recorded; later processes measure time alone."""

from __future__ import annotations

import os
import queue
import threading
from contextlib import closing
from pathlib import Path

import pytest

from tests.helpers.services import until
from tests.helpers.tiny import tiny_config
from tests.helpers.training import ListRecorder, small_setup
from tfx_engine.measure.clock import make_clock
from tfx_engine.measure.memory import make_meter
from tfx_engine.protocol.toml import dumps
from tfx_engine.protocol.worker_messages import InTurns, Turn, TurnOver
from tfx_engine.runfile.create import create
from tfx_engine.runfile.lock import RunLock, is_locked
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.train.control import RunControl, StopFlag
from tfx_engine.train.loop import Loop
from tfx_engine.train.turns import Turns
from tfx_engine.worker.again import execute_again
from tfx_engine.worker.run import execute

RUN = {"warmup_steps": 1, "measure_steps": 5, "probes": False, "batch": 2, "device": "cpu", "threads": 1}


def turn(round_: int, block: int, steps: int = 2) -> Turn:
    return Turn(round=round_, block=block, steps=steps, ms=0.0)


class Course:
    """A loop on a thread of its own, and what it says of its turns."""

    def __init__(self, repeats: bool) -> None:
        self.granted: queue.SimpleQueue[Turn | None] = queue.SimpleQueue()
        self.said: list[TurnOver] = []
        self.recorder, self.control = ListRecorder(), RunControl()
        setup = small_setup(run=RUN)
        turns = Turns(self.granted, self.said.append, repeats)
        self.loop = Loop(setup, make_clock(setup.device, 0), make_meter(setup.device), self.recorder, self.control,
                         turns=turns)
        self.thread = threading.Thread(target=self.loop.run)
        self.thread.start()

    def give(self, *turns: Turn | None) -> None:
        """Give a turn and wait until it is taken, or until all is over."""
        for count, one in enumerate(turns, start=len(self.said)):
            self.granted.put(one)
            until(lambda count=count: len(self.said) > count or not self.thread.is_alive())

    def measured(self) -> list[tuple[int, str | None]]:
        return [(r.step, r.taint) for r in self.recorder.readings if r.phase == "measure"]


def test_a_run_steps_only_in_its_turns_and_says_when_it_is_done() -> None:
    course = Course(repeats=False)
    until(lambda: "measure" in course.recorder.phases)
    assert course.measured() == []
    course.give(turn(1, 1))
    assert course.measured() == [(2, "after a pause"), (3, None), (4, None)], "the first step after a pause is extra"
    assert (course.said[0].steps, course.said[0].is_done) == (3, False)
    course.give(turn(1, 2, steps=9))
    assert course.said[1].is_done, "no step of its own is left"
    assert len(course.measured()) == 5
    assert course.thread.is_alive(), "what comes after the steps has to wait"
    course.give(None)
    course.thread.join(10)
    assert course.loop.is_complete
    assert course.recorder.turns == [(1, 1), (1, 2)]


def test_a_later_process_steps_for_as_long_as_there_are_turns() -> None:
    course = Course(repeats=True)
    course.give(turn(2, 1, steps=4), turn(2, 2, steps=4), None)
    course.thread.join(10)
    assert len(course.measured()) == 10
    assert not any(said.is_done for said in course.said)


def test_a_stop_is_heard_while_others_step() -> None:
    course = Course(repeats=False)
    until(lambda: "measure" in course.recorder.phases)
    course.control.stop.set("stopped", "Enough.")
    course.thread.join(10)
    assert not course.thread.is_alive() and not course.loop.is_complete


def test_a_pause_holds_the_turn() -> None:
    course = Course(repeats=True)
    course.control.pause()
    course.granted.put(turn(2, 1))
    until(lambda: any(code == "paused" for code, _ in course.recorder.events))
    assert course.said == []
    course.control.resume()
    until(lambda: course.said)
    course.give(None)
    course.thread.join(10)


def test_steps_of_later_processes_do_those_of_the_run_again() -> None:
    turns = Turns(queue.SimpleQueue(), lambda said: None, repeats=True)
    assert [turns.index(step, 6) for step in (1, 6, 7, 13)] == [0, 5, 0, 0]


# ------------------------------------------------------------------------------------------------ a run file


@pytest.fixture
def run_file(tmp_path: Path) -> Path:
    path = tmp_path / "run.tfx"
    config = tiny_config(run={**RUN, "probes": True, "audit": False, "profile": False})
    create(path, config, dumps(config.as_dict()), "fair")
    return path


def granted(*turns: Turn) -> queue.SimpleQueue[Turn | None]:
    found: queue.SimpleQueue[Turn | None] = queue.SimpleQueue()
    for one in (*turns, None):
        found.put(one)
    return found


def do(path: Path, process: int, *turns: Turn, stop: StopFlag | None = None) -> str:
    part = InTurns(process=process, round=process + 1, heir=os.getpid())
    taken = Turns(granted(*turns), lambda said: None, repeats=process > 0)
    if process == 0:
        return execute(path, stop, turns=taken, part=part).status
    return execute_again(path, part, taken, stop or StopFlag()).status


def test_a_run_goes_on_in_a_second_process_which_adds_times_alone(run_file: Path) -> None:
    assert do(run_file, 0, turn(1, 1, steps=9)) == "finished"
    with closing(RunReader(run_file)) as reader:
        first = (reader.facts(), reader.missing(), reader.steps()["loss"].tolist(), reader.count_steps())
        assert reader.info().recorded_status == "running", "the comparison goes on"
        newest_ms = float(reader.steps()["t_ms"][-1])
    RunLock(run_file).hand_over(os.getpid())
    assert do(run_file, 1, turn(2, 1), turn(2, 2)) == "finished"
    with closing(RunReader(run_file)) as reader:
        assert (reader.facts(), reader.missing(), reader.steps()["loss"].tolist(), reader.count_steps()) == first
        rows = reader.turns()
        assert rows["process"].tolist() == [0] * 5 + [1] * 6
        assert rows["round"].tolist() == [1] * 5 + [2] * 6
        assert rows["block"].tolist() == [1] * 5 + [2 - (i < 3) for i in range(6)]
        assert reader.info().recorded_status == "running"
        assert any(event.code == "again" for event in reader.events())
    with RunWriter(run_file) as writer:
        assert writer.t_ms() > newest_ms, "the clock goes on"
        writer.state("finished")
    assert not is_locked(run_file)


def test_a_later_process_that_fails_says_in_which_round_and_leaves_the_run(
    run_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    do(run_file, 0, turn(1, 1, steps=9))

    def broken(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("tfx_engine.worker.again.set_up", broken)
    assert do(run_file, 1, turn(2, 1)) == "failed"
    with closing(RunReader(run_file)) as reader:
        assert reader.info().recorded_status == "running"
        assert any(event.kind == "problem" and "In round 2" in event.message for event in reader.events())


def test_an_interrupted_later_process_ends_the_run(run_file: Path) -> None:
    do(run_file, 0, turn(1, 1, steps=9))
    stop = StopFlag()
    stop.set("interrupted", "The engine service ended.")
    assert do(run_file, 1, turn(2, 1), stop=stop) == "interrupted"
    with closing(RunReader(run_file)) as reader:
        assert reader.info().recorded_status == "interrupted"
    assert not is_locked(run_file)
