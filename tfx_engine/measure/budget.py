"""When to probe: at fixed steps, and within what probing may cost.

A probe that the configuration gives an interval for is taken at every multiple of it, whatever it costs. An automatic
one comes about ten times in the measured steps (the update ratio fifty times), and only while all automatic probes
together have cost no more than the user's budget, 1 % of the time that has passed; the first quarter of a second is
free, so that a short run has something to show. Of the budget gradient norms, which are read within the steps, may
take a half; where they would cost more, fewer steps have them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tfx_engine.protocol.config import Run

TIMES = {"attention": 10, "evaluation": 10, "memory": 10, "update": 50}  # automatic ones in the measured steps
LEAST_INTERVAL = {"memory": 10}  # steps: a step whose memory is split drops out of the time statistics
FREE_S = 0.25
STEPS_SHARE = 0.5  # of the budget, for what is read within the steps


class Budget:
    """Decides which steps are probed. `now` gives seconds; time begins with the first step, at `begin()`.

    `spent_s`: what probes between steps took since `begin()`, by probe, also those that the configuration asked for;
    `captured_ms` is all of it.
    """

    def __init__(self, run: Run, now: Callable[[], float] = time.perf_counter) -> None:
        self.captured_ms = 0.0
        self.spent_s: dict[str, float] = defaultdict(float)
        self._now, self._share = now, run.probe_budget_percent / 100
        self._begun_s = now()
        self._charged_s = self._in_steps_s = 0.0
        self._explicit = {
            "attention": run.attention_every, "memory": run.memory_every, "evaluation": run.validate_every,
            "request": 1,
        }
        self._automatic = {p: max(LEAST_INTERVAL.get(p, 1), run.measure_steps // times) for p, times in TIMES.items()}
        self._last_cost_s: dict[str, float] = {}

    def begin(self) -> None:
        """The first step is about to begin."""
        self._begun_s, self._charged_s, self._in_steps_s = self._now(), 0.0, 0.0
        self.spent_s.clear()
        self.captured_ms = 0.0

    def skip(self, seconds: float) -> None:
        """So long the run did nothing."""
        self._begun_s += seconds

    @property
    def elapsed_s(self) -> float:
        """Time since the first step."""
        return self._now() - self._begun_s

    def due(self, probe: str, measured_step: int) -> bool:
        """Whether the probe is to be taken at this measured step (from 1)."""
        every = self._explicit.get(probe)
        if every is not None:
            return measured_step % every == 0
        return measured_step % self._automatic[probe] == 0 and self._affordable(probe)

    def _allowed_s(self) -> float:
        return max(FREE_S, self._share * self.elapsed_s)

    def _affordable(self, probe: str) -> bool:
        return self._charged_s + self._in_steps_s + self._last_cost_s.get(probe, 0.0) <= self._allowed_s()

    def has_room_in_steps(self) -> bool:
        """Whether the next step may have probes within it."""
        return self._in_steps_s <= STEPS_SHARE * self._allowed_s()

    def charge_step(self, seconds: float) -> None:
        """Note what probes within a step cost."""
        self._in_steps_s += seconds

    def charge_steps(self, seconds: float) -> None:
        """Note what probes within all steps together cost, as it turned out."""
        self._in_steps_s = seconds

    @contextmanager
    def spending(self, probe: str) -> Iterator[None]:
        """What runs inside is charged to the budget, unless the configuration asked for this probe."""
        begun_s = self._now()
        yield
        self.charge(probe, self._now() - begun_s)

    @contextmanager
    def learning(self, probe: str) -> Iterator[None]:
        """What runs inside is not charged, but tells what the next one will cost."""
        begun_s = self._now()
        yield
        self._last_cost_s[probe] = self._now() - begun_s

    def charge(self, probe: str, seconds: float) -> None:
        """Note what a probe between steps cost."""
        self.captured_ms += 1000 * seconds
        self.spent_s[probe] += seconds
        self._last_cost_s[probe] = seconds
        if self._explicit.get(probe) is None:
            self._charged_s += seconds
