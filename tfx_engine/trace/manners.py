"""How a trace lets others go first, and when it ends early."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from tfx_engine.protocol.marker import tr_mark

MOST_S = 10.0  # of processor time, for all traces that one answer takes
_TOO_LONG = tr_mark("The step of this configuration takes longer than {seconds:.0f} s to trace.")
_OVER = tr_mark("Nobody waits for the trace any more.")


class GivenUp(Exception):
    """A trace ends early. Its text is an English sentence."""


class BrokenOff(GivenUp):
    """Nobody waits for the trace any more."""


@dataclasses.dataclass(frozen=True)
class Manners:
    """`pause` is called before every operator; between the parts of a step `is_over` is asked, whether to break off.

    Not within them: torch's own code does not always survive it. `most_s`: processor time of the tracing thread.
    """

    pause: Callable[[], None] = lambda: None
    is_over: Callable[[], bool] = lambda: False
    most_s: float = MOST_S

    def go_on(self) -> None:
        """Raises `BrokenOff` where nobody waits any more."""
        if self.is_over():
            raise BrokenOff(_OVER)

    def begun(self) -> Patience:
        """From now on its time runs, on this thread."""
        return Patience(self)


class Patience:
    """Manners whose time runs."""

    def __init__(self, manners: Manners) -> None:
        self._manners = manners
        self._end_s = time.thread_time() + manners.most_s

    def pause(self) -> None:
        """Let others go first."""
        self._manners.pause()

    def go_on(self) -> None:
        """Raises `GivenUp` where it takes too long, and `BrokenOff`."""
        self._manners.go_on()
        if time.thread_time() > self._end_s:
            raise GivenUp(_TOO_LONG.format(seconds=self._manners.most_s))


PATIENT = Manners(most_s=600.0)
