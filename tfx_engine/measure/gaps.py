"""Times in which this process did not run at all: somebody stopped it, or the computer slept.

A step around such a time measures nothing. The clock of the steps stands still while the computer sleeps and goes on
while only the process is stopped; that of `runfile.steady` goes on in both, where the system has such a clock.
A thread ticks ten times a second; two ticks far apart, between which the process hardly used a processor, are a gap.
(One long operation that lets no other thread run uses a processor all the time, and is none.)
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.taint import STOPPED
from tfx_engine.runfile.steady import steady_s

LONGEST_S = 1.0  # between two ticks: a busy machine's threads wait for tenths of that
_KEPT = 64  # gaps whose steps may still have to be read
WORDS = tr_mark(
    "This process did not run for {seconds:.1f} s: it was stopped, or the computer slept. Steps around that time are "
    "left out of the statistics."
)


class Moment(NamedTuple):
    """One reading of the clocks, in seconds: that of the steps, one that never stands still, the processors' use."""

    steps_s: float
    steady_s: float
    used_s: float


class Timed(Protocol):
    """As much of a step's reading as it takes to know when it was."""

    taint: str | None
    step_ms: float
    t_ms: float


def read_clocks() -> Moment:
    """Now."""
    return Moment(time.perf_counter(), steady_s(), time.process_time())


class Gaps:
    """`tick` it ten times a second; `mark` the steps that were read. Both in any thread.

    `zero_ns`: the `time.perf_counter_ns()` from which the times of steps count. `on_gap` gets the seconds of each gap.
    """

    def __init__(
        self, zero_ns: int, on_gap: Callable[[float], None] = lambda seconds: None,
        read: Callable[[], Moment] = read_clocks,
    ) -> None:
        self._zero_s, self._on_gap, self._read = zero_ns / 1e9, on_gap, read
        self._lock = threading.Lock()
        self._last = read()
        self._found: collections.deque[tuple[float, float]] = collections.deque(maxlen=_KEPT)  # ms since zero

    def tick(self) -> None:
        """The process runs."""
        with self._lock:
            now, last = self._read(), self._last
            self._last = now
            seconds = now.steady_s - last.steady_s
            if seconds < LONGEST_S or now.used_s - last.used_s > seconds / 2:
                return
            self._found.append(((last.steps_s - self._zero_s) * 1000, (now.steps_s - self._zero_s) * 1000))
        self._on_gap(seconds)

    def mark(self, readings: Sequence[Timed]) -> None:
        """Steps that a gap fell into get their `taint`, whatever else was wrong with them."""
        self.tick()  # after a gap the thread that ticks may come later than the step's end
        with self._lock:
            gaps = tuple(self._found)
        for reading in readings:
            if any(reading.t_ms - reading.step_ms < end and reading.t_ms > begin for begin, end in gaps):
                reading.taint = STOPPED
