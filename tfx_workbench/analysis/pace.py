"""How long experiments still take: by what is said of them, corrected by how long they took so far."""

from __future__ import annotations

import time
from collections.abc import Callable

_TRUSTED_S = 20.0  # so much of what is said counts as much as what was seen


class Pace:
    """Of one undertaking of several experiments."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun_s = self._all_s = 0.0

    def begin(self, all_s: float) -> None:
        """Now, with so many seconds to go by what is said."""
        self._begun_s, self._all_s = self._clock(), all_s

    def left_s(self, said_s: float) -> float:
        """Seconds until the end, where so many are left by what is said: a slower machine makes them longer."""
        done_s, spent_s = self._all_s - said_s, self._clock() - self._begun_s
        return said_s * (spent_s + _TRUSTED_S) / (max(done_s, 0.0) + _TRUSTED_S)
