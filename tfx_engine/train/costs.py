"""What measuring costs a run, kept within the user's budget: which steps have probes, and the facts that tell of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from tfx_engine.measure.budget import Budget
from tfx_engine.measure.overhead import Overhead, is_turn_without, summary
from tfx_engine.measure.readout import StepReading
from tfx_engine.protocol.config import Run
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.train.recorder import Recorder

_WRITE_EVERY_S = 1.0
_TOO_SHORT = tr_mark("The run had too few measured steps to compare those with probes and those without.")
_SHORT = tr_mark("one of each kind is always taken, and the run is too short for what that costs: {what} took {ms} ms")
_ASKED = tr_mark("the configuration asks for it at fixed steps")
_NAMES = {
    "steps": tr_mark("readings within steps"), "update": tr_mark("update ratios"), "memory": tr_mark("memory splits"),
    "attention": tr_mark("attention maps"), "evaluation": tr_mark("the held-out loss"),
    "finite": tr_mark("looking whether gradients are finite"), "request": tr_mark("maps that were asked for"),
}
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
        self._step_probe_ms = 0.0  # what probes cost a step that has them, as far as that is known

    def next_has_probes(self, measured_step: int) -> bool:
        """Whether this measured step (from 1) has gradient norms and memory readings."""
        if not self._run.probes or is_turn_without(measured_step, self.overhead.comparisons):
            return False
        return self._budget.has_room_in_steps(self._step_probe_ms / 1000)

    def step_had_probes(self, reading: StepReading) -> None:
        """A step had probes: it is charged to the budget."""
        if self.overhead.host_waits and reading.probe_ms is not None:
            self._step_probe_ms = reading.probe_ms
        self._budget.charge_step(self._step_probe_ms / 1000)

    def add(self, readings: Sequence[StepReading]) -> None:
        """Finished steps."""
        self.overhead.add(readings)
        if not self._run.probes:
            return
        warm = [r.probe_ms for r in readings if r.phase == "warmup" and r.taint is None and r.probe_ms is not None]
        self._step_probe_ms = min(warm, default=self._step_probe_ms)  # the first ones do what only first ones do
        if not self.overhead.host_waits:
            self._charge_as_it_turned_out()
        if time.monotonic() - self._written_at >= _WRITE_EVERY_S:
            self.write()

    def _charge_as_it_turned_out(self) -> None:
        """What a probe costs a device that goes on beside the host shows only when the device has done it."""
        percent = self.overhead.cost().sure_percent
        if percent is not None:
            self._step_probe_ms = percent / 100 * self.overhead.step_ms
            self._budget.charge_steps(self._step_probe_ms / 1000 * self.overhead.probed)

    def write(self) -> None:
        """What is known now."""
        self._written_at = time.monotonic()
        budget = self._budget
        found = summary(
            self.overhead, budget.spent_s, budget.elapsed_s, self._run.probe_budget_percent, budget.once_s)
        if found is not None:
            found["why_over"] = self._why_over(found)
            self._recorder.fact("overhead", found)
            self._recorder.fact("overhead_percent", found["percent"])

    def _why_over(self, found: dict[str, Any]) -> str:
        """Why measuring costs more than its budget; empty where it does not."""
        run, within = self._run, found["step_percent"] * found["probed_percent"] / 100
        if found["percent"] <= run.probe_budget_percent:
            return ""
        what, percent = max([("steps", within), *found["captures_percent"].items()], key=lambda item: item[1])
        asked = {"attention": run.attention_every, "memory": run.memory_every, "evaluation": run.validate_every}
        ms = 10 * percent * self._budget.training_s
        return _ASKED if asked.get(what) is not None else _SHORT.format(what=_NAMES.get(what, what), ms=f"{ms:.3g}")

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
