"""Names for the parts of a step: for the profiler's timeline, and for the words that say where a step broke off."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext

import torch
from torch.profiler import record_function

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
