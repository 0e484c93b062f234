"""What measuring costs, from steps with probes and steps without them in turn.

Of every few measured steps one goes without gradient norms and memory readings. What a step takes is compared with what
its neighbours of the other kind take, so that a machine which becomes slower or faster for a while does so for both.
The time of a step is here the time from its beginning to that of the next one, so that what is done between two steps
counts too. What was captured between steps (attention maps, held-out loss, update ratios, memory splits) is timed where
it happens and comes on top.
"""

from __future__ import annotations

import collections
import dataclasses
import math
import statistics
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from tfx_engine.measure.readout import StepReading
from tfx_engine.protocol.taint import NEVER

PLACE = 2  # steps without probes are the 2nd, 5th, 8th, ...: each between two with probes
OFTEN, RARELY = 3, 16
ENOUGH = 64  # comparisons, after which one step of 16 goes without
KEPT = 512  # the newest comparisons
FEWEST = 6  # with fewer even minimum..maximum holds the median in less than 95 % of cases
EVERY_STEP = "finite"  # whether a step's gradients are finite: looked at within every step
_LEVEL = 0.95


def is_turn_without(measured_step: int, comparisons: int) -> bool:
    """Whether this measured step (from 1) goes without probes, after so many comparisons."""
    return measured_step % (OFTEN if comparisons < ENOUGH else RARELY) == PLACE


@dataclasses.dataclass(frozen=True)
class Cost:
    """What probes add to a step, per cent of one without them; None where nobody knows.

    `turns` with its bounds `low` and `high` (95 %): the median over the comparisons. `timed`: the time between the
    probes' own beginning and end, known where the host waits for the device. `percent` is the latter where the turns
    do not contradict it, since a busy machine disturbs it less; else it is the former, but not less than nothing.
    """

    turns: float | None
    low: float | None
    high: float | None
    timed: float | None
    comparisons: int

    @property
    def percent(self) -> float | None:
        if self.timed is not None and (self.low is None or self.high is None or self.low <= self.timed <= self.high):
            return self.timed
        return None if self.turns is None else max(0.0, self.turns)

    @property
    def sure_percent(self) -> float | None:
        """What the budget is charged: `percent`, but of turns alone only what they are sure of."""
        if self.timed is not None:
            return self.percent
        return None if self.low is None else max(0.0, self.low)


@dataclasses.dataclass(frozen=True)
class _Step:
    """One measured step with nothing but itself in its period."""

    number: int
    probed: bool
    period_ms: float


class Overhead:
    """Takes the readings of all steps in their order, and says what probes cost a step that has them.

    `host_waits`: as `Costs` has it. A device that works while the host goes on is another one after a capture, for
    which it was waited for; a host that waits anyway is the same.
    """

    def __init__(self, host_waits: bool) -> None:
        self.host_waits = host_waits
        self.probed = self.measured = self.comparisons = 0
        self.off_ms = math.nan  # a step without probes, about
        self._before: StepReading | None = None
        self._steps: collections.deque[_Step] = collections.deque(maxlen=3)
        self._used = 0  # the newest step that is in a comparison
        self._percents: collections.deque[float] = collections.deque(maxlen=KEPT)
        self._off: collections.deque[float] = collections.deque(maxlen=KEPT)
        self._timed: collections.deque[float] = collections.deque(maxlen=KEPT)
        self._bare_ms: collections.deque[float] = collections.deque(maxlen=KEPT)

    @property
    def step_ms(self) -> float:
        """A step without its probes, about; NaN where nobody knows."""
        if self.comparisons:
            return self.off_ms
        return statistics.median(self._bare_ms) if self._bare_ms else math.nan

    def add(self, readings: Iterable[StepReading]) -> None:
        """Finished steps."""
        for reading in readings:
            before, self._before = self._before, reading
            if reading.phase == "measure":
                self.measured += 1
                self.probed += reading.probed
                if reading.probe_ms is not None and reading.taint not in NEVER:
                    bare_ms = max(1e-6, reading.step_ms - reading.probe_ms)
                    self._bare_ms.append(bare_ms)
                    self._timed.append(100 * reading.probe_ms / bare_ms)
            if before is not None and self._is_clean(before, reading):
                captured_ms = reading.captured_ms - before.captured_ms
                period_ms = _start_ms(reading) - _start_ms(before) - captured_ms
                self._add(_Step(before.step, before.probed, period_ms))

    def _is_clean(self, step: StepReading, after: StepReading) -> bool:
        """Whether between the beginnings of two steps nothing happened that is not known by its time."""
        both = (step, after)
        return (
            after.step == step.step + 1 and all(r.phase == "measure" and r.taint is None for r in both)
            and (self.host_waits or step.captured_ms == after.captured_ms)
        )

    def _add(self, step: _Step) -> None:
        self._steps.append(step)
        if len(self._steps) == 3:
            self._compare(*self._steps)

    def _compare(self, left: _Step, middle: _Step, right: _Step) -> None:
        """The middle one with its neighbours where they are of the other kind; each step is in one comparison."""
        are_neighbours = (left.number, right.number) == (middle.number - 1, middle.number + 1)
        if not are_neighbours or left.number <= self._used or middle.probed in (left.probed, right.probed):
            return
        self._used = right.number
        others = (left.period_ms + right.period_ms) / 2
        on, off = (middle.period_ms, others) if middle.probed else (others, middle.period_ms)
        self.comparisons += 1
        self._off.append(off)
        self._percents.append(100 * (on / off - 1))
        self.off_ms = statistics.median(self._off)

    def cost(self) -> Cost:
        """What probes add to a step, as far as that is known."""
        low, high = median_bounds(self._percents)
        return Cost(
            turns=statistics.median(self._percents) if self._percents else None, low=low, high=high,
            timed=statistics.median(self._timed) if self._timed else None, comparisons=self.comparisons,
        )


def _start_ms(reading: StepReading) -> float:
    return reading.t_ms - reading.step_ms


def median_bounds(values: Collection[float]) -> tuple[float | None, float | None]:
    """The 95 % interval of a median without any assumption about its values: two of them, by their ranks.

    (The sign test's: as many values lie below the median as coins show heads.)
    """
    ordered, n = sorted(values), len(values)
    if n < FEWEST:
        return None, None
    mass, rank = 0.0, 0
    while (mass := mass + math.comb(n, rank) * 0.5**n) <= (1 - _LEVEL) / 2:
        rank += 1
    return ordered[rank - 1], ordered[n - rank]


def summary(
    overhead: Overhead, captures_s: Mapping[str, float], elapsed_s: float, budget_percent: float,
    once_s: Mapping[str, float] | None = None,
) -> dict[str, Any] | None:
    """The fact `overhead`: per cent of the time of the measured steps; None where nothing is known.

    `percent`, `low`, `high`: all of it. `step_percent`: of a step that has probes, `probed_percent` of which there are;
    `turns_percent`: the same from steps in turn alone. `captures_percent`: what is read between steps, by its name.
    `once_ms`: what was read before the first of these steps and after the last, by its name; it is in no other figure.
    """
    cost = overhead.cost()
    training_s = elapsed_s - sum(seconds for name, seconds in captures_s.items() if name != EVERY_STEP)
    if cost.percent is None or not overhead.measured or training_s <= 0:
        return None
    share = overhead.probed / overhead.measured
    captures = {name: 100 * seconds / training_s for name, seconds in captures_s.items()}
    between = sum(captures.values())
    whole = {
        name: None if value is None else value * share + between
        for name, value in (("percent", cost.percent), ("low", cost.low), ("high", cost.high))
    }
    return {
        **whole, "comparisons": cost.comparisons, "step_percent": cost.percent, "turns_percent": cost.turns,
        "probed_percent": 100 * share, "captures_percent": captures, "budget_percent": budget_percent,
        "once_ms": {name: 1000 * seconds for name, seconds in (once_s or {}).items()},
    }
