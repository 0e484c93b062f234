"""When to probe: at fixed steps, and within what probing may cost.

A probe that the configuration gives an interval for is taken at every multiple of it, whatever it costs. An automatic
one comes about ten times in the measured steps (the update ratio fifty times), and only while all automatic probes
together have cost no more than 1 % of the time that has passed; the first quarter of a second is free, so that a short
run has something to show.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tfx_engine.protocol.config import Run

TIMES = {"attention": 10, "evaluation": 10, "memory": 10, "update": 50}  # automatic ones in the measured steps
LEAST_INTERVAL = {"memory": 10}  # steps: a step whose memory is split drops out of the time statistics
SHARE = 0.01  # of the time that has passed, for all automatic probes together
FREE_S = 0.25


class Budget:
    """Decides which steps are probed. `now` gives seconds; time begins with the first step, at `begin()`."""

    def __init__(self, run: Run, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        self._begun_s = now()
        self._spent_s = 0.0
        self._explicit = {
            "attention": run.attention_every, "memory": run.memory_every, "evaluation": run.validate_every,
        }
        self._automatic = {p: max(LEAST_INTERVAL.get(p, 1), run.measure_steps // times) for p, times in TIMES.items()}
        self._last_cost_s: dict[str, float] = {}

    def begin(self) -> None:
        """The first step is about to begin."""
        self._begun_s, self._spent_s = self._now(), 0.0

    def due(self, probe: str, measured_step: int) -> bool:
        """Whether the probe is to be taken at this measured step (from 1)."""
        every = self._explicit.get(probe)
        if every is not None:
            return measured_step % every == 0
        return measured_step % self._automatic[probe] == 0 and self._affordable(probe)

    def _affordable(self, probe: str) -> bool:
        allowed_s = max(FREE_S, SHARE * (self._now() - self._begun_s))
        return self._spent_s + self._last_cost_s.get(probe, 0.0) <= allowed_s

    @contextmanager
    def spending(self, probe: str) -> Iterator[None]:
        """What runs inside is charged to the budget, unless the configuration asked for this probe."""
        begun_s = self._now()
        yield
        self.charge(probe, self._now() - begun_s)

    def charge(self, probe: str, seconds: float) -> None:
        """Note what a probe cost."""
        self._last_cost_s[probe] = seconds
        if self._explicit.get(probe) is None:
            self._spent_s += seconds
