"""The time of single calls on a device, each the best of several rounds: a machine does other things meanwhile.

Many calls are timed in turn, round after round, so that a moment in which the machine is busy spoils one round of some
and not all rounds of one. A call is settled when two of its rounds agree; what never does keeps its spread.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import torch

T = TypeVar("T")
# Calls are repeated within a round until it lasts so long, that neither the clock nor waiting for the device counts.
_ROUND_S = {"cpu": 1e-4, "": 2e-3}
_TIMES = 3  # within a round; the best of them is the round's
_AGREE = 1.05
_LEAST_ROUNDS = {"cpu": 4, "": 2}  # threads that wait for each other lose many rounds on a busy machine


@dataclasses.dataclass
class Timed:
    """A call and the seconds that it took in each round so far. It waits for nothing itself."""

    call: Callable[[], object]
    least_rounds: int = 2
    rounds: list[float] = dataclasses.field(default_factory=list)

    @property
    def best_s(self) -> float:
        """Seconds in the best round."""
        return min(self.rounds)

    @property
    def spread_percent(self) -> float:
        """By how many per cent the median round was slower than the best."""
        return 100.0 * (statistics.median(self.rounds) / self.best_s - 1.0)

    @property
    def is_settled(self) -> bool:
        """Whether a second round was about as fast as the best."""
        return len(self.rounds) >= self.least_rounds and sorted(self.rounds)[1] <= _AGREE * self.best_s


def of_device(table: Mapping[str, T], device: torch.device) -> T:
    """What a table has for a kind of device, else under ""."""
    return table[device.type if device.type in table else ""]


def waiting(device: torch.device) -> Callable[[], None]:
    """What returns when the device has done all it was given."""
    if device.type == "cpu":
        return lambda: None
    module = getattr(torch, device.type)
    return lambda: module.synchronize()


def timed_on(device: torch.device, call: Callable[[], object]) -> Timed:
    """A call, to be timed as often as that device needs it."""
    return Timed(call, of_device(_LEAST_ROUNDS, device))


def _clock_of(device: torch.device) -> Callable[[], float]:
    """Of one thread on the CPU the time that it had: what other programs took away in between is not the device's."""
    return time.thread_time if device.type == "cpu" and torch.get_num_threads() == 1 else time.perf_counter


def time_in_turn(
    calls: Iterable[Timed], device: torch.device, patience_s: float, is_over: Callable[[], bool] = lambda: False
) -> None:
    """Time every call in as many rounds as it needs, and those not settled for up to about `patience_s` in all.

    Returns at once where it `is_over`.
    """
    wait, begun, calls = waiting(device), time.perf_counter(), list(calls)
    while left := [timed for timed in calls if not timed.is_settled]:
        for timed in left:
            if is_over():
                return
            timed.rounds.append(_round(timed.call, wait, _clock_of(device), of_device(_ROUND_S, device)))
        if time.perf_counter() - begun > patience_s and all(len(t.rounds) >= t.least_rounds for t in calls):
            return


def _round(
    call: Callable[[], object], wait: Callable[[], None], clock: Callable[[], float], least_s: float
) -> float:
    """Seconds of one call: the best of three times; the first call, which may still prepare something, is not timed."""
    call()
    wait()
    begun = clock()
    call()
    wait()
    once_s = max(clock() - begun, 1e-7)
    calls = max(1, min(2000, round(least_s / once_s)))
    times = [once_s] if calls == 1 else []
    for _ in range(_TIMES - len(times)):
        begun = clock()
        for _ in range(calls):
            call()
        wait()
        times.append((clock() - begun) / calls)
    return min(times)
