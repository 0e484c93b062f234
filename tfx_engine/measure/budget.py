"""When to probe: at fixed steps, and within what probing may cost the whole run.

A probe that the configuration gives an interval for is taken at every multiple of it, whatever it costs. An automatic
one comes at most about ten times in the measured steps (the update ratio fifty times), and more rarely where that would
cost more than the user's budget, 1 % of the time of all measured steps: of those so far and, as they will take as long,
of those still planned. What each costs is known from when it was last taken; what is left of the budget is shared
between them, and each is spaced over the steps that are left. The first of a kind always happens, since nobody knows
what it costs before. Of the budget gradient norms, which are read within the steps, may take a half, and what the
others have no use for; where they would cost more, only every n-th step has them.
"""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tfx_engine.protocol.config import Run

TIMES = {"attention": 10, "evaluation": 10, "memory": 10, "update": 50}  # automatic ones in the measured steps
LEAST_INTERVAL = {"memory": 10}  # steps: a step whose memory is split drops out of the time statistics
STEPS_SHARE = 0.5  # of the budget, for what is read within the steps
LOOK_EVERY = 8  # measured steps, between two looks at what the probes between steps leave for those within
FEW = 3  # measured steps; before there are so many, the warm-up says how long one takes
_ASKED_FOR = "request"  # maps that somebody asked for while the run goes on


class Budget:
    """Decides which steps are probed. `now` gives seconds; time begins with the first step, at `begin()`.

    `spent_s`: what probes took since `begin()`, by probe, also those that the configuration asked for; `captured_ms` is
    what of it lies between steps. `once_s`: what was taken beside the measured steps, and is charged to nobody.
    """

    def __init__(self, run: Run, now: Callable[[], float] = time.perf_counter) -> None:
        self.captured_ms = 0.0
        self.spent_s: dict[str, float] = defaultdict(float)
        self.once_s: dict[str, float] = defaultdict(float)
        self._now, self._share, self._planned = now, run.probe_budget_percent / 100, run.measure_steps
        self._begun_s = now()
        self._ended_s: float | None = None
        self._charged_s = self._in_steps_s = self._always_s = 0.0
        self._measured = 0  # steps
        self._warm_step_s = 0.0
        self._explicit = {
            "attention": run.attention_every, "memory": run.memory_every, "evaluation": run.validate_every,
            _ASKED_FOR: 1,
        }
        self._least = {p: max(LEAST_INTERVAL.get(p, 1), run.measure_steps // times) for p, times in TIMES.items()}
        self._last_step = dict.fromkeys(TIMES, 0)
        self._looked_at, self._steps_share = -1, STEPS_SHARE
        self._cost_s: dict[str, float] = {}  # of the next one

    def begin(self, step_s: float = 0.0) -> None:
        """The first step is about to begin; one of the warm-up took `step_s`, where that is known."""
        self._begun_s, self._charged_s, self._in_steps_s, self._always_s = self._now(), 0.0, 0.0, 0.0
        self._warm_step_s, self._measured = step_s, 0
        self.spent_s.clear()
        self.captured_ms = 0.0

    def end(self) -> None:
        """The last step is over: time stands still."""
        self._ended_s = self._now()

    def skip(self, seconds: float) -> None:
        """So long the run did nothing."""
        self._begun_s += seconds

    @property
    def elapsed_s(self) -> float:
        """Time since the first step."""
        return (self._now() if self._ended_s is None else self._ended_s) - self._begun_s

    @property
    def training_s(self) -> float:
        """Of it, what the steps took by themselves."""
        return max(0.0, self.elapsed_s - self.captured_ms / 1000)

    @property
    def planned_s(self) -> float:
        """What all measured steps will take by themselves, those that are still planned among them."""
        done_s = self.training_s
        is_known = self._measured >= FEW or not self._warm_step_s
        step_s = done_s / max(1, self._measured) if is_known else self._warm_step_s
        return done_s + step_s * max(0, self._planned - self._measured)

    @property
    def allowed_s(self) -> float:
        """What all probes of the run together may cost."""
        return self._share * self.planned_s

    # ------------------------------------------------------------------ between steps

    def due(self, probe: str, measured_step: int) -> bool:
        """Whether the probe is to be taken at this measured step (from 1). Where it is, it has to be."""
        every = self._explicit.get(probe)
        if every is not None:
            return measured_step % every == 0
        since = measured_step - self._last_step[probe]
        if since < self._least[probe]:
            return False
        if probe in self._cost_s and not (since >= self._interval(probe) and self._is_affordable(probe)):
            return False
        self._last_step[probe] = measured_step
        return True

    def step_done(self) -> None:
        """A measured step is over."""
        self._measured += 1

    def _interval(self, probe: str) -> float:
        """Steps between two of a kind: as many as its share of the budget has room for; infinite where that is none."""
        times = self._times()[probe]
        return max(self._least[probe], self._planned / (times + 0.5)) if times else math.inf

    def _times(self) -> dict[str, float]:
        """How often the whole run can afford each kind whose cost is known."""
        wanted = {
            name: self._cost_s[name] * math.ceil(self._planned / self._least[name])
            for name in TIMES if self._explicit.get(name) is None and name in self._cost_s
        }
        shares = shared_out(self.allowed_s - self._taken_in_steps_s(), wanted)
        return {name: int(share / cost_s + 1e-9) if (cost_s := self._cost_s[name]) > 0 else math.inf
                for name, share in shares.items()}

    def _left_for_steps(self) -> float:
        """The share of the budget that is for what is read within the steps."""
        if self._looked_at != self._measured // LOOK_EVERY:
            self._looked_at = self._measured // LOOK_EVERY
            between_s = sum(times * cost_s for name, times in self._times().items() if (cost_s := self._cost_s[name]))
            unused = 1 - (max(between_s, self._charged_s) + self._always_s) / max(self.allowed_s, 1e-12)
            self._steps_share = max(STEPS_SHARE, unused)
        return self._steps_share

    def _taken_in_steps_s(self) -> float:
        """What of the budget the steps will have taken at the end, as they did until now."""
        if not self._measured:
            return 0.0
        times = self._planned / self._measured
        return min(STEPS_SHARE * self.allowed_s, self._in_steps_s * times) + self._always_s * times

    def _is_affordable(self, probe: str) -> bool:
        """Not only planned for: costs change, and so does what a step takes."""
        return self._charged_s + self._in_steps_s + self._always_s + self._cost_s[probe] <= self.allowed_s

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
        self.learn(probe, self._now() - begun_s)

    def learn(self, probe: str, seconds: float) -> None:
        """Note what a probe cost beside the measured steps."""
        self.once_s[probe] += seconds
        self._cost_s[probe] = seconds

    def charge(self, probe: str, seconds: float) -> None:
        """Note what a probe between steps cost."""
        self.captured_ms += 1000 * seconds
        self.spent_s[probe] += seconds
        self._cost_s[probe] = seconds
        if self._explicit.get(probe) is None:
            self._charged_s += seconds

    # ------------------------------------------------------------------ within steps

    def has_room_in_steps(self, cost_s: float = 0.0) -> bool:
        """Whether the next step may have probes within it, which cost that much."""
        so_far_s = self.planned_s / max(1, self._planned) * (self._measured + 1)
        room_s = self._left_for_steps() * self._share * so_far_s
        return self._in_steps_s == 0 or self._in_steps_s + cost_s <= room_s

    def charge_step(self, seconds: float) -> None:
        """Note what probes within a step cost."""
        self._in_steps_s += seconds

    def charge_steps(self, seconds: float) -> None:
        """Note what probes within all steps together cost, as it turned out."""
        self._in_steps_s = seconds

    def charge_always(self, what: str, seconds: float) -> None:
        """Note what is looked at in every step, whatever it costs: it leaves less for all else."""
        if self._ended_s is None:
            self.spent_s[what] += seconds
            self._always_s += seconds


def shared_out(whole: float, wanted: Mapping[str, float]) -> dict[str, float]:
    """As much as each wants, or an equal part where that is too much: who wants less leaves more for the others."""
    left, given = max(0.0, whole), dict[str, float]()
    for number, (name, want) in enumerate(sorted(wanted.items(), key=lambda item: item[1])):
        given[name] = min(want, left / (len(wanted) - number))
        left -= given[name]
    return given
