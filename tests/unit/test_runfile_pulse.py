"""Whether a run responds: the signs of life beside its file, and a reader that believes its own clock alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfx_engine.runfile.lock import RunLock
from tfx_engine.runfile.pulse import BEAT_S, PROMISE, SILENT_S, Pulse, beat, silent
from tfx_engine.runfile.store import beside


class Clock:
    """A steady clock that is told how time passes."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def run(tmp_path: Path) -> Path:
    path = tmp_path / "run.tfx"
    path.touch()
    return path


def looks(pulse: Pulse, clock: Clock, seconds: float, every_s: float = 0.5) -> list[bool]:
    """What a reader sees that looks so often."""
    seen = []
    for _ in range(round(seconds / every_s)):
        clock.now_s += every_s
        seen.append(pulse.look())
    return seen


def test_without_a_sign_for_some_seconds_it_does_not_respond_and_with_the_next_it_does(run: Path) -> None:
    clock = Clock()
    with RunLock(run) as lock:
        lock.note(**{PROMISE: BEAT_S})
        pulse = Pulse(run, clock)
        assert all(looks(pulse, clock, SILENT_S - 0.5))
        assert not any(looks(pulse, clock, 60.0)[1:])
        beat(run)
        assert looks(pulse, clock, 0.5) == [True]


def test_signs_count_whatever_the_date_on_them(run: Path) -> None:
    clock = Clock()
    with RunLock(run) as lock:
        lock.note(**{PROMISE: BEAT_S})
        pulse = Pulse(run, clock)
        for date in (0, 4_000_000_000, 1, 2, 3, 4, 5):  # a wall clock that jumps, back and forth and by decades
            os.utime(beside(run, ".lock"), (date, date))
            assert all(looks(pulse, clock, 2.0))


def test_a_reader_that_slept_itself_has_seen_no_silence(run: Path) -> None:
    clock = Clock()
    with RunLock(run) as lock:
        lock.note(**{PROMISE: BEAT_S})
        pulse = Pulse(run, clock)
        for _ in range(3):
            assert looks(pulse, clock, 0.5) == [True]
        clock.now_s += 3600.0
        assert pulse.look()
        assert not any(looks(pulse, clock, 60.0)[10:])


def test_who_promised_no_signs_is_not_missed(run: Path) -> None:
    clock = Clock()
    pulse = Pulse(run, clock)
    assert all(looks(pulse, clock, 20.0))  # there is no lock at all
    with RunLock(run):  # a service that keeps a run for its next turn, or an older version
        assert all(looks(pulse, clock, 20.0))


def test_who_looks_only_once_waits_for_the_next_sign_and_only_where_the_last_is_old(tmp_path: Path) -> None:
    paths = {name: tmp_path / f"{name}.tfx" for name in ("stopped", "slow", "well", "service")}
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if sum(slept) > 2.0:
            beat(paths["slow"])

    locks = {name: RunLock(path) for name, path in paths.items()}
    for name, lock in locks.items():
        lock.note(**({} if name == "service" else {PROMISE: BEAT_S}))
    for name in ("stopped", "slow", "service"):
        os.utime(beside(paths[name], ".lock"), (1, 1))
    assert silent([paths["service"], tmp_path / "no lock.tfx"], sleep) == set() and slept == [], "nobody promised one"
    assert silent([paths["stopped"], paths["slow"]], sleep) == {paths["stopped"]}
    assert sum(slept) == pytest.approx(SILENT_S)
    beat(paths["well"])
    assert silent([paths["well"]], lambda _: beat(paths["well"])) == set()
    for lock in locks.values():
        lock.release()


def test_a_sign_that_cannot_be_given_is_no_error(tmp_path: Path) -> None:
    beat(tmp_path / "nowhere" / "run.tfx")
