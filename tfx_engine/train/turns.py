"""Turns: a run in an interleaved comparison steps only while it is its turn, and gives the turn back.

Another thread hands turns over; the loop looks at them between steps.
"""

from __future__ import annotations

import itertools
import queue
import time
from collections.abc import Callable, Iterable

from tfx_engine.protocol.worker_messages import Turn, TurnOver
from tfx_engine.train.control import StopFlag

_LOOK_S = 0.05  # how soon a stop is seen while others step


class Turns:
    """The turns of one run. `repeats`: its steps only measure time again, so that there is no last one."""

    def __init__(self, granted: queue.SimpleQueue[Turn | None], say: Callable[[TurnOver], None], repeats: bool) -> None:
        """`granted`: turns as they come, None: there are no more. `say` passes on that one is over."""
        self._granted, self._say, self._repeats = granted, say, repeats
        self._turn: Turn | None = None
        self._is_ended = False
        self._steps = self._counted = 0
        self._begun_s = 0.0

    @property
    def is_ours(self) -> bool:
        """Whether it is this run's turn."""
        return self._turn is not None

    def steps(self, own: int) -> Iterable[int]:
        """The numbers of the measured steps, from 1: its own, or as many as there are turns for."""
        return itertools.count(1) if self._repeats else range(1, own + 1)

    def index(self, step: int, total: int) -> int:
        """Which step of the run's own (from 0) the one of that number (from 1) does again."""
        return (step - 1) % total

    def wait(self, stop: StopFlag) -> Turn | None:
        """The next turn, when it comes; None: there is none any more, or the run is to end."""
        while not self._is_ended and not stop.is_set():
            try:
                self._turn = self._granted.get(timeout=_LOOK_S)
            except queue.Empty:
                continue
            self._is_ended = self._turn is None
            self._steps = self._counted = 0
            self._begun_s = time.perf_counter()
            return self._turn
        return None

    def skip(self, seconds: float) -> None:
        """So long the run was held within its turn."""
        self._begun_s += seconds

    def stepped(self, counts: bool) -> None:
        """A step was done; one that counts in no statistics is none of those that the turn is for."""
        self._steps += 1
        self._counted += counts

    def is_used_up(self) -> bool:
        """Whether the turn was for no more than what was done in it."""
        turn = self._turn
        return turn is not None and self._counted >= turn.steps and self._ms() >= turn.ms

    def is_last(self, measured: int, own: int) -> bool:
        """Whether the measured step of that number is the last of its own."""
        return measured == own and not self._repeats

    def give_back(self, is_done: bool) -> None:
        """The turn is over, and everything of it was handed on. `is_done`: no step of the run's own is left."""
        turn, self._turn = self._turn, None
        if turn is not None:
            self._say(TurnOver(round=turn.round, block=turn.block, steps=self._steps, ms=self._ms(),
                               is_done=is_done))

    def wait_for_the_end(self, stop: StopFlag) -> None:
        """All own steps are done: wait until the others have done theirs."""
        while self.wait(stop) is not None:
            self.give_back(is_done=True)  # there is nothing left to do in it

    def _ms(self) -> float:
        return (time.perf_counter() - self._begun_s) * 1000
