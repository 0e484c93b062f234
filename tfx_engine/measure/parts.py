"""Names for the parts of a step: for the profiler's timeline, and for the words that say where a step broke off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch.profiler import record_function

PREFIX = "tfx:"  # of the ranges that belong to us in a profiler's timeline
MEASURE = "measure"  # our own reading, within a step


class Parts:
    """`with parts("forward"):` names a part of the step. `current` is the last one entered; exceptions leave it."""

    def __init__(self) -> None:
        self.current = ""

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """A range `tfx:<name>` (about 5 us when no profiler looks)."""
        self.current = name
        with record_function(PREFIX + name):
            yield
