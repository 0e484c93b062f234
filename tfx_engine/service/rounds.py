"""The rounds of an interleaved comparison: who comes when, how long they take, and whether there is another."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from tfx_engine.protocol.interleaving import Interleave
from tfx_engine.protocol.marker import tr_mark

_OUT_OF_TIME = tr_mark("The time for the comparison was used up.")
Each = TypeVar("Each")


class Rounds:
    """How far a comparison is. `number` is the round under way, from 1; `reason`: why no further block begins.

    `start_s` and `block_s`: what the last round took to start, and the last block.
    """

    def __init__(self, asked: Interleave) -> None:
        self.number = 0
        self.reason: str | None = None
        self.start_s = self.block_s = 0.0
        self._asked = asked
        self._deadline = None if asked.minutes is None else time.monotonic() + 60 * asked.minutes

    def conclude(self, reason: str) -> None:
        """No further block; the first reason counts."""
        self.reason = self.reason or reason

    def has_another_block(self, done: int) -> bool:
        """Whether a block follows those of this round that are done; in the first one the runs' own steps decide."""
        return self.number == 1 or (done < self._asked.blocks and not self._is_over())

    def has_time_for_another(self) -> bool:
        """Whether a further round gets as far as a block."""
        return not self._is_over(self.start_s + self.block_s)

    def _is_over(self, needed_s: float = 0.0) -> bool:
        if self._deadline is not None and time.monotonic() + needed_s > self._deadline:
            self.conclude(_OUT_OF_TIME)
        return self.reason is not None

    def progress(self, block: int) -> dict[str, Any]:
        """For whoever waits, once that block is done. `blocks` is null in the first round: nobody knows."""
        asked = self._asked
        blocks = None if self.number == 1 else asked.blocks
        rest = (blocks - block) if blocks else 0
        left_s = rest * self.block_s + (asked.rounds - self.number) * (self.start_s + asked.blocks * self.block_s)
        if self._deadline is not None:
            left_s = min(left_s, max(0.0, self._deadline - time.monotonic()))
        return {"round": self.number, "rounds": asked.rounds, "block": block, "blocks": blocks,
                "block_s": self.block_s, "start_s": self.start_s, "most_left_s": left_s}


class Order(Generic[Each]):
    """Random orders, each followed by its reverse, so that a steady drift meets all alike."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._last: list[Each] = []
        self._is_forth = True

    def of(self, members: Sequence[Each]) -> list[Each]:
        """The next order of these."""
        if self._is_forth or set(self._last) != set(members):
            self._last = list(members)
            self._random.shuffle(self._last)
            self._is_forth = False
        else:
            self._last.reverse()
            self._is_forth = True
        return list(self._last)
