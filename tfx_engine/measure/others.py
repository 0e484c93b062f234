"""Other programs on this machine: how much of its processors they take, and whether steps were disturbed by them.

Ours are this process with the children that it has waited for, and the two processes above it: the service that started
it and the window or command line that started the service. What the window takes while it shows a run is the price of
looking at it, the same in every run that is looked at. All else, another run at the same time too, is others.

A step on the CPU counts as disturbed where others took more of the processors than the run leaves free, by more than a
tenth of those that it uses: its threads wait for the slowest of them, so that this makes a step about a tenth slower or
more, while a quiet desktop (some per cent of one processor) stays below it. Processors are counted as cores: two
threads of one core share it. Times are those of the operating system, counted in hundredths of a second, so that a
shorter time than `SHORTEST_S` says nothing.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from functools import partial

import psutil

from tfx_engine.protocol.marker import tr_mark

SHORTEST_S = 0.2
SLACK = 0.1  # of the processors that the run uses
DISTURBED = tr_mark("other programs used the processors")
_ABOVE = 2  # processes above this one that are ours: the service; the window or the command line


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds since some moments in the past: on the wall, of all processors by everybody, and by ours."""

    wall_s: float
    busy_s: float
    own_s: float


def read_times(above: Sequence[psutil.Process]) -> Times:
    """What the operating system has counted up to now; `above`: see `those_above`."""
    times = psutil.cpu_times()
    idle_s = times.idle + getattr(times, "iowait", 0.0)
    # `guest` is part of `user`; `steal` went to other machines on the same hardware, which are others too.
    busy_s = sum(times) - idle_s - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)
    own = os.times()
    own_s = own.user + own.system + own.children_user + own.children_system
    return Times(time.perf_counter(), busy_s, own_s + sum(map(_used_s, above)))


def those_above() -> list[psutil.Process]:
    """The processes above this one that are ours."""
    found: list[psutil.Process] = []
    process: psutil.Process | None = psutil.Process()
    try:
        while process is not None and len(found) < _ABOVE and (process := process.parent()) is not None:
            found.append(process)
    except psutil.Error:
        pass
    return found


def _used_s(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:  # it is gone, or nobody may ask
        return 0.0
    return float(times.user + times.system)


class Others:
    """What others took of the processors between two looks."""

    def __init__(self, read: Callable[[], Times] | None = None) -> None:
        self._read = read or partial(read_times, those_above())
        self._last = self._read()

    def look(self) -> tuple[float, float] | None:
        """(processors that others used on average, seconds) since the last look that said so; None: too short."""
        now = self._read()
        wall_s = now.wall_s - self._last.wall_s
        if wall_s < SHORTEST_S:
            return None
        busy_s, own_s = now.busy_s - self._last.busy_s, now.own_s - self._last.own_s
        self._last = now
        return max(0.0, busy_s - own_s) / wall_s, wall_s


def are_disturbing(others_cores: float, threads: int, cores: int) -> bool:
    """Whether a run with so many threads on so many cores was slowed down by others who used `others_cores`."""
    used = min(threads, cores)
    return others_cores > cores - used + SLACK * used
