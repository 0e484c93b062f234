"""How long a run's steps take in short stretches, in turn of two kinds, and whether that differs.

Processes are kept apart: the worker has a processor of its own, the others and this one have the rest. Stretches are
short and many, since the speed of a machine that others use as well wanders so that a pair of long ones differs by as
much as one of short ones. Of every stretch the median of its steps is taken, and of every pair of neighbours of two
kinds the logarithm of their ratio; told are the median of these and its interval by the sign test, which assumes
nothing of how they are distributed. (Hollander, Wolfe: Nonparametric Statistical Methods, 3.5, 3.6.)
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from tests.survival.windows import cpu_s
from tfx_engine.protocol.taint import NEVER
from tfx_engine.runfile.reader import RunReader

_LATE_S = 10.0  # a row is in the file a fraction of a second after its step


class Interval(NamedTuple):
    """Per cent, with 95 %."""

    middle: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.middle:+.2f} % [{self.low:+.2f}, {self.high:+.2f}]"


def median_of(values: Sequence[float] | NDArray[np.float64]) -> tuple[float, float, float]:
    """The median and its 95 % interval, infinite for fewer than six values."""
    ordered = np.sort(np.asarray(values, float))
    outside = int(stats.binom.ppf(0.025, len(ordered), 0.5)) if len(ordered) else 0  # on each side, with its end
    middle = float(np.median(ordered)) if len(ordered) else float("nan")
    if outside < 1:
        return middle, -float("inf"), float("inf")
    return middle, float(ordered[outside - 1]), float(ordered[-outside])


def is_second(number: int) -> bool:
    """Whether a stretch is of the second kind: ABBA, so that a steady drift cancels."""
    return number % 4 in (1, 2)


def changes(in_turn: Sequence[float]) -> tuple[Interval, Interval]:
    """By how much the second kind is larger; and neighbours of one kind, between which nothing changed, for comparison.

    Of these the signs change after every A A and B B, so that what a change leaves behind for a moment cancels.
    """
    steps = np.diff(np.log(in_turn))
    apart_, alike = steps[::2], steps[1::2]
    found = []
    for values in (apart_ * (-1.0) ** np.arange(len(apart_)), alike * (-1.0) ** (np.arange(len(alike)) // 2)):
        found.append(Interval(*(float(100 * np.expm1(x)) for x in median_of(values[np.isfinite(values)]))))
    return found[0], found[1]


# ------------------------------------------------------------------------------------------------ processors

@contextlib.contextmanager
def apart(alone: int, others: Collection[int]) -> Iterator[str]:
    """One process has a processor, these and this process have the others, while the block lasts; that in words.

    What else runs on this machine is not moved. Only where the system can do it, and has two processors.
    """
    processors = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(processors) < 2:
        yield "not apart: the system cannot, or has one processor"
        return
    own, rest = {processors[-1]}, set(processors[:-1])
    places = {**dict.fromkeys([*others, os.getpid()], rest), alone: own}
    before = {thread: os.sched_getaffinity(thread) for pid in places for thread in _threads(pid)}
    try:
        for _ in range(2):  # a thread that was just being made
            for pid, where in places.items():
                _place(pid, dict.fromkeys(_threads(pid), where))
        yield f"processor {processors[-1]}, the others {', '.join(map(str, processors[:-1]))}"
    finally:
        for pid in places:
            _place(pid, {thread: before.get(thread, set(processors)) for thread in _threads(pid)})


def _threads(pid: int) -> list[int]:
    """A processor is chosen for each thread; none of a process that ended."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return [int(path.name) for path in Path(f"/proc/{pid}/task").iterdir()]
    return []


def _place(pid: int, threads: dict[int, set[int]]) -> None:
    for thread, where in threads.items():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(thread, where)


def used_s(pid: int) -> float:
    """Processor time of a process, to the nanosecond where the system has a clock of each (Linux)."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3), which Python has not
    except (AttributeError, OSError):
        return cpu_s(pid)


def waited_s(pid: int) -> float:
    """How long the main thread could have gone on but others had its processor; NaN where that is not told."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError):
        return float("nan")


# ------------------------------------------------------------------------------------------------ stretches

class Mark(NamedTuple):
    """A moment in the life of a worker."""

    at_s: float
    used_s: float
    waited_s: float


class Pace(NamedTuple):
    """A stretch: the median time of a step and its lower quartile, the processor time of one, the share of waiting for
    a processor.
    """

    step_ms: float
    quick_ms: float
    cpu_ms: float
    waited: float


class Stopwatch:
    """Marks in a run that goes on, by this process's clock; at the end what its steps took between two."""

    def __init__(self, run: Path, worker: int) -> None:
        self._reader, self._worker = RunReader(run), worker
        self._first = self._reader.count_steps()
        self._zero_s = float("inf")  # of the run's own clock; the least that was seen of what is too much by a delay

    def close(self) -> None:
        """Close the run file."""
        self._reader.close()

    def mark(self) -> Mark:
        """Now."""
        self._newest_s()
        return Mark(time.monotonic(), used_s(self._worker), waited_s(self._worker))

    def _newest_s(self) -> float:
        """When the newest step in the file ended, by the run's clock."""
        newest = self._reader.steps(self._reader.count_steps() - 1, 1, ["t_ms"])["t_ms"]
        at_s = float(newest[-1]) / 1000 if len(newest) else 0.0
        self._zero_s = min(self._zero_s, time.monotonic() - at_s)
        return at_s

    def between(self, marks: Sequence[tuple[Mark, Mark]]) -> list[Pace]:
        """Of each stretch; NaN where no step ended in it."""
        deadline = time.monotonic() + _LATE_S
        while self._newest_s() < marks[-1][1].at_s - self._zero_s and time.monotonic() < deadline:
            time.sleep(0.05)
        count = self._reader.count_steps() - self._first
        rows = self._reader.steps(self._first, count, ["t_ms", "step_ms", "taint"])
        ends_s = rows["t_ms"] / 1000 + self._zero_s
        counts = np.array([taint not in NEVER for taint in rows["taint"]], bool)
        return [self._pace(begin, end, ends_s, np.where(counts, rows["step_ms"], np.nan)) for begin, end in marks]

    @staticmethod
    def _pace(begin: Mark, end: Mark, ends_s: NDArray[np.float64], step_ms: NDArray[np.float64]) -> Pace:
        within = step_ms[(ends_s > begin.at_s) & (ends_s <= end.at_s)]
        within = within[np.isfinite(within)]
        if not len(within):
            return Pace(*[float("nan")] * len(Pace._fields))
        steps = float(np.diff(np.interp([begin.at_s, end.at_s], ends_s, np.arange(len(ends_s))))[0])  # and a fraction
        waited = (end.waited_s - begin.waited_s) / (end.at_s - begin.at_s)
        quick_ms, median_ms = np.quantile(within, [0.25, 0.5])
        return Pace(float(median_ms), float(quick_ms), 1000 * (end.used_s - begin.used_s) / max(steps, 1e-9), waited)
