"""Steps around a time in which the process did not run measure nothing, whoever kept it from running."""

from __future__ import annotations

import dataclasses

import pytest

from tfx_engine.measure.gaps import Gaps, Moment
from tfx_engine.protocol.taint import NEVER, STOPPED, is_disturbance

ZERO_S = 5.0


@dataclasses.dataclass
class Step:
    """A step's reading."""

    t_ms: float
    step_ms: float = 100.0
    taint: str | None = None


class World:
    """Clocks that are told how time passes."""

    def __init__(self) -> None:
        self.now = Moment(ZERO_S, 100.0, 0.0)
        self.seconds: list[float] = []
        self.gaps = Gaps(round(ZERO_S * 1e9), self.seconds.append, lambda: self.now)

    def work(self, seconds: float) -> None:
        """The process runs, and its thread ticks."""
        for _ in range(round(seconds / 0.1)):
            self._pass(0.1, 0.1, 0.1)
            self.gaps.tick()

    def stop(self, seconds: float) -> None:
        """The process is stopped."""
        self._pass(seconds, seconds, 0.0)

    def sleep(self, seconds: float) -> None:
        """The computer sleeps: the clock of the steps stands still."""
        self._pass(0.0, seconds, 0.0)

    def hog(self, seconds: float) -> None:
        """One operation lets no other thread run."""
        self._pass(seconds, seconds, seconds)

    def _pass(self, steps_s: float, steady_s: float, used_s: float) -> None:
        self.now = Moment(*(a + b for a, b in zip(self.now, (steps_s, steady_s, used_s), strict=True)))

    @property
    def t_ms(self) -> float:
        return (self.now.steps_s - ZERO_S) * 1000


@pytest.mark.parametrize("kind", ["stop", "sleep"])
@pytest.mark.parametrize("ticks_first", [True, False], ids=["the thread first", "the step first"])
def test_a_step_around_a_gap_is_marked_and_others_are_not(kind: str, ticks_first: bool) -> None:
    world = World()
    world.work(2.0)
    before = Step(world.t_ms - 500)
    began_ms = world.t_ms - 50
    getattr(world, kind)(60.0)
    world.work(0.1) if ticks_first else world._pass(0.01, 0.01, 0.01)
    around = Step(world.t_ms, world.t_ms - began_ms, taint="other programs used the processors")
    world.gaps.mark([before, around])
    world.work(1.0)
    after = Step(world.t_ms)
    world.gaps.mark([after])
    assert [step.taint for step in (before, around, after)] == [None, STOPPED, None]
    assert world.seconds == [pytest.approx(60.0, abs=0.2)]


def test_a_step_that_was_read_long_after_the_gap_is_marked_too() -> None:
    world = World()
    world.work(1.0)
    step = Step(world.t_ms + 10_050, 10_100)
    world.stop(10.0)
    world.work(5.0)
    world.gaps.mark([step])
    assert step.taint == STOPPED


def test_an_operation_that_lets_no_thread_run_is_no_gap() -> None:
    world = World()
    world.work(1.0)
    world.hog(10.0)
    step = Step(world.t_ms, 10_000)
    world.gaps.mark([step])
    assert step.taint is None and not world.seconds


def test_such_steps_never_count_however_many_there_are() -> None:
    assert STOPPED in NEVER and not is_disturbance(STOPPED)
