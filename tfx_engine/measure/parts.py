"""The parts of a step by name: in the profiler's timeline, in the words that say where it broke off, and in time."""

from __future__ import annotations

import collections
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch.profiler import record_function

from tfx_engine.measure.clock import Clock, Mark

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's library reads it when it starts: say nothing
PREFIX = "tfx:"  # of the ranges that belong to us in a profiler's timeline
MEASURE = "measure"  # our own reading, within a step
_NOTHING: AbstractContextManager[object] = nullcontext()


class Parts:
    """`with parts("forward"):` names a part of the step. `current` is the last one entered; exceptions leave it."""

    def __init__(self) -> None:
        self.current = ""

    def __call__(self, name: str) -> AbstractContextManager[object]:
        """A range `tfx:<name>` where a profiler looks; next to nothing where none does."""
        self.current = name
        return self.within(name)

    def within(self, name: str) -> AbstractContextManager[object]:
        """The same within another part, which stays the current one."""
        return record_function(PREFIX + name) if torch.autograd._profiler_enabled() else _NOTHING


class PartMarks:
    """Times each part of a step on the device's clock: give it to the step as its `part`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._marks: list[tuple[str, Mark]] = []
        self._step = clock.start()

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Around a part; parts do not lie within each other."""
        mark = self._clock.start()
        yield
        mark.stop()
        self._marks.append((name, mark))

    def stop(self) -> None:
        """The step is over."""
        self._step.stop()

    def read(self) -> tuple[float, dict[str, float]]:
        """(ms of the step, ms by part); waits for the device."""
        by_part: dict[str, float] = collections.defaultdict(float)
        step_ms = self._step.read()[0]
        for name, mark in self._marks:
            by_part[name] += mark.read()[0]
        return step_ms, by_part
