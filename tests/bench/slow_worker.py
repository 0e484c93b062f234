"""The real worker, but the steps of a run whose file is named "slow" take 10 % longer: a difference that is known."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

import torch

from tfx_engine.train import stepping
from tfx_engine.worker import conversation
from tfx_engine.worker.__main__ import main

SLOWER = 0.10
_real_step, _real_run = stepping.train_step, conversation._run


def slowed(*arguments):
    """A step, and then a tenth of its time once more."""
    begun_s = time.perf_counter()
    result = _real_step(*arguments)
    ends_s = time.perf_counter() + SLOWER * (time.perf_counter() - begun_s)
    while time.perf_counter() < ends_s:
        continue
    return result


class SlowedOnCuda:
    """The same where a step is only handed to the device: what waits a tenth longer is the device itself."""

    WATCHED = 5  # steps, whose median is what a tenth is taken of
    _CYCLES = 20_000_000

    def __init__(self) -> None:
        self._times_ms: list[float] = []
        _asleep_ms(self._CYCLES)
        self._cycles_per_ms = self._CYCLES / _asleep_ms(self._CYCLES)

    def __call__(self, *arguments):
        if len(self._times_ms) >= self.WATCHED:
            result = _real_step(*arguments)
            torch.cuda._sleep(int(SLOWER * statistics.median(self._times_ms) * self._cycles_per_ms))
            return result
        torch.cuda.synchronize()
        begun_s = time.perf_counter()
        result = _real_step(*arguments)
        torch.cuda.synchronize()
        self._times_ms = [*self._times_ms, 1000 * (time.perf_counter() - begun_s)]
        return result


def _asleep_ms(cycles: int) -> float:
    """How long the device sleeps for so many cycles."""
    torch.cuda.synchronize()
    begun_s = time.perf_counter()
    torch.cuda._sleep(cycles)
    torch.cuda.synchronize()
    return 1000 * (time.perf_counter() - begun_s)


def run(job, *arguments):
    """The run, with slow steps where its file says so."""
    if "-slow-" in Path(job.path).name:
        stepping.train_step = SlowedOnCuda() if torch.cuda.is_available() else slowed
    return _real_run(job, *arguments)


conversation._run = run
if __name__ == "__main__":
    sys.exit(main())
