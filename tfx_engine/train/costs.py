"""What measuring costs a run, kept within the user's budget: which steps have probes, and the facts that tell of it."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tfx_engine.measure.budget import Budget
from tfx_engine.measure.overhead import Overhead, is_turn_without, summary
from tfx_engine.measure.readout import StepReading
from tfx_engine.protocol.config import Run
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.train.recorder import Recorder

_WRITE_EVERY_S = 1.0
_TOO_SHORT = tr_mark("The run had too few measured steps to compare those with probes and those without.")
_NOT_AT_EVERY_STEP = tr_mark(
    "Read at {probed} of {measured} measured steps: the others show what measuring costs, and keep it within its "
    "budget of {budget} %."
)


class Costs:
    """Decides which measured steps have probes within them. Facts are written about once a second."""

    def __init__(self, run: Run, budget: Budget, recorder: Recorder, host_waits: bool) -> None:
        """`host_waits`: for all that it asks of the device, so that its own clock knows what every call takes."""
        self.overhead = Overhead(host_waits)
        self._run, self._budget, self._recorder = run, budget, recorder
        self._written_at = 0.0
        self._sure_ms = 0.0  # that probes cost a step, for all that steps in turn say

    def next_has_probes(self, measured_step: int) -> bool:
        """Whether this measured step (from 1) has gradient norms and memory readings."""
        if not self._run.probes or is_turn_without(measured_step, self.overhead.comparisons):
            return False
        return self._budget.has_room_in_steps()

    def step_had_probes(self, reading: StepReading) -> None:
        """A step had probes: it is charged to the budget."""
        self._budget.charge_step((self._sure_ms if reading.probe_ms is None else reading.probe_ms) / 1000)

    def add(self, readings: Sequence[StepReading]) -> None:
        """Finished steps."""
        self.overhead.add(readings)
        if not self._run.probes:
            return
        if not self.overhead.host_waits:
            self._charge_as_it_turned_out()
        if time.monotonic() - self._written_at >= _WRITE_EVERY_S:
            self.write()

    def _charge_as_it_turned_out(self) -> None:
        """What a probe costs a device that goes on beside the host shows only in comparisons, later."""
        cost = self.overhead.cost()
        if cost.low is not None:
            self._sure_ms = max(0.0, cost.low) / 100 * self.overhead.off_ms
            self._budget.charge_steps(self._sure_ms / 1000 * self.overhead.probed)

    def write(self) -> None:
        """What is known now."""
        self._written_at = time.monotonic()
        found = summary(
            self.overhead, self._budget.spent_s, self._budget.elapsed_s, self._run.probe_budget_percent)
        if found is not None:
            self._recorder.fact("overhead", found)
            self._recorder.fact("overhead_percent", found["percent"])

    def finish(self) -> None:
        """The measured steps are over: what they have and what not."""
        if not self._run.probes:
            return
        self.write()
        if self.overhead.cost().percent is None:
            self._recorder.missing("overhead_percent", _TOO_SHORT)
        probed, measured = self.overhead.probed, self.overhead.measured
        if probed < measured:
            reason = _NOT_AT_EVERY_STEP.format(
                probed=probed, measured=measured, budget=f"{self._run.probe_budget_percent:g}")
            for column in ("grad_norm", "layer_grad_norm"):
                self._recorder.missing(column, reason)
