"""The phase `profile`: a few more steps that say where time goes. They leave every weight as it is."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tfx_engine.measure.clock import Clock
from tfx_engine.measure.profiling import Profiler
from tfx_engine.train.setup import Setup
from tfx_engine.train.step import Training

MARKED = 5
PROFILED = 2
LONG_S = 10.0  # a phase that has taken this long goes on with one step of each kind at most
Part = Callable[[str], AbstractContextManager[object]]


class Profile:
    """Which steps the phase takes, and how each is looked at."""

    def __init__(self, setup: Setup, clock: Clock) -> None:
        training = setup.training
        self.profiler = Profiler(training.model, setup.device, clock, training.is_compiled)
        # A learning rate of zero: the same work, and what the run has learnt stays as it is.
        self.training: Training = dataclasses.replace(training, schedule=lambda index: 0.0)

    def looks(self) -> Iterator[AbstractContextManager[Part]]:
        """One after the other, what to do a step within: it gives what is entered around each part of the step."""
        begun_s = time.perf_counter()
        for number in range(MARKED):
            if number == 0 or time.perf_counter() - begun_s < LONG_S:
                yield self.profiler.marked()
        if self.profiler.has_kernels:
            yield self.profiler.profiled(counts=False)  # the first one starts the device's own recording up
        for number in range(PROFILED):
            if number == 0 or time.perf_counter() - begun_s < 2 * LONG_S:
                yield self.profiler.profiled()


def both(first: Part, second: Part) -> Part:
    """A part that is two at once."""

    @contextmanager
    def part(name: str) -> Iterator[None]:
        with first(name), second(name):
            yield

    return part
