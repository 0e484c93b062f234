"""The steps of a run, one of each kind: timed, its allocations recorded, or profiled, with all that is read of it.

Only what is between `clock.start()` and `mark.stop()` counts as the step's time. Whatever else measuring needs happens
before or after. What finished steps left on the device is fetched a few times a second, and nobody waits for a reader.
"""

from __future__ import annotations

import dataclasses
import time
from contextlib import AbstractContextManager
from functools import partial

from tfx_engine.measure.budget import Budget
from tfx_engine.measure.clock import Clock
from tfx_engine.measure.disturbance import Disturbance
from tfx_engine.measure.gaps import Gaps
from tfx_engine.measure.memory import MemoryMeter
from tfx_engine.measure.memory_split import MemoryProbe, can_split
from tfx_engine.measure.parts import Parts
from tfx_engine.measure.readout import Readout, StepReading
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.status import Phase
from tfx_engine.protocol.taint import MEMORY_PROBE, PROFILE
from tfx_engine.techniques.compile import replays
from tfx_engine.train.control import RunControl
from tfx_engine.train.costs import Costs
from tfx_engine.train.kernels import Kernels
from tfx_engine.train.learning import Learning
from tfx_engine.train.losing import LossWatch
from tfx_engine.train.profiling import Part, both
from tfx_engine.train.recorder import Recorder
from tfx_engine.train.setup import Setup
from tfx_engine.train.step import Training, train_step
from tfx_engine.train.turns import Turns
from tfx_engine.train.within import Within

_NO_ROOM = tr_mark("It needs a copy of the weights in host memory, which has no room for it.")


class Steps:
    """Does one step at a time and hands its readings to the recorder; when there is one, the loop says.

    `step` counts them from 1, `parts.current` says where in it the training is, `taint` why the next one counts in no
    statistics. `can_split`: whether the memory of a step can be told apart here. `costs`: what measuring takes.
    """

    def __init__(
        self, setup: Setup, clock: Clock, meter: MemoryMeter, recorder: Recorder, control: RunControl, budget: Budget,
        turns: Turns | None = None, disturbance: Disturbance | None = None, gaps: Gaps | None = None,
    ) -> None:
        self.step = 0
        self.parts = Parts()
        self.taint: str | None = None
        self.can_split = setup.config.run.probes and can_split(setup.device) and not replays(setup.config)
        self._setup, self._clock, self._recorder, self._budget = setup, clock, recorder, budget
        self._turns, self._disturbance, self._gaps = turns, disturbance, gaps
        self._phase: Phase = "warmup"
        self._within = Within(setup, meter, self.parts, budget, clock)
        self.costs = Costs(setup.config.run, budget, recorder, self._within.host_waits)
        self._readout = Readout(setup.device)
        self._kernels = Kernels(setup.training.model, recorder)
        self._learning: Learning | None = None  # while steps are measured
        self._losses = LossWatch(setup, recorder, control, budget)
        self._plain_step_s = 0.0
        if setup.config.run.probes and not self._within.knows_updates:
            recorder.missing("update_ratio", _NO_ROOM)

    # ------------------------------------------------------------------ what the loop asks for

    def enter(self, phase: Phase) -> None:
        """Another phase begins; all of the one before is handed on."""
        self.hand_on(wait=True)
        self._phase = phase
        self._recorder.phase(phase)

    def warm_up(self, is_last: bool) -> None:
        """A step of the warm-up; in the last one memory is split, so that it is known before anything is measured."""
        if is_last and self.can_split:
            self.split_memory()
        else:
            self._plain_step(self._setup.config.run.probes)

    def begin_measuring(self) -> None:
        """From here on steps count."""
        self.enter("measure")
        self._learning = Learning(self._setup.training, self._budget)
        self._budget.begin(self._plain_step_s)

    def measure(self, measured: int) -> None:
        """The measured step of that number, from 1, with what is due in it."""
        if self.can_split and self._budget.due("memory", measured):
            self.split_memory()
        else:
            probes = self.costs.next_has_probes(measured)
            self._plain_step(probes, probes and self._within.knows_updates and self._budget.due("update", measured))
        self._budget.step_done()

    def end_measuring(self) -> None:
        """Say what measuring has cost, and whether anything was learnt."""
        self.costs.finish()
        if self._learning is not None and self.costs.overhead.measured:
            self._learning.say(self._recorder)
        self._learning = None

    def split_memory(self) -> None:
        """A step whose every allocation is recorded. That slows it down, so it counts in no time statistics."""
        self.hand_on(wait=True)  # only then is the time its own
        begun_s = time.perf_counter()
        self._begin_step()
        setup = self._setup
        batch = setup.task.batch(self.step - 1, setup.device)
        self._within.begin(is_on=True)
        mark = self._clock.start()
        reading = StepReading(
            self.step, self._phase, setup.tokens_per_step, mark, taint=MEMORY_PROBE, probed=True,
            captured_ms=self._budget.captured_ms,
        )
        probe = MemoryProbe(
            setup.training.model, setup.training.optimizer, batch, setup.device,
            is_compiled=setup.training.is_compiled, with_shapes=self._phase == "probe",
        )

        def on_gradients() -> None:
            self._within.gradients_are_there(reading)
            probe.gradients_are_there()
            self._losses.gradients_are_there(batch, self.step)

        with probe:
            reading.loss_tensor = train_step(setup.training, batch, self.step - 1, self.parts, on_gradients)
        mark.stop()
        split = probe.split()
        self._within.end(reading)
        if reading.memory.allocated_bytes is None:
            reading.memory = dataclasses.replace(reading.memory, allocated_bytes=split.peak_bytes)
        self._recorder.memory(split, self.step, self._phase)
        self._kernels.seen(split.kernels)
        cost_s = max(0.0, time.perf_counter() - begun_s - self._plain_step_s)
        (self._budget.charge if self._phase == "measure" else self._budget.learn)("memory", cost_s)
        self._finish(reading)

    def profile(self, training: Training, look: AbstractContextManager[Part]) -> None:
        """A step within `look`, which gives what is entered around each part of it. It trains what `training` says."""
        self._begin_step()
        self._within.begin(is_on=True)
        setup = self._setup
        mark = self._clock.start()
        reading = StepReading(self.step, self._phase, setup.tokens_per_step, mark, taint=PROFILE, probed=True)
        with look as seen:
            part = both(self.parts, seen)
            with part("data"):
                batch = setup.task.batch(self.step - 1, setup.device)
            on_gradients = partial(self._within.gradients_are_there, reading, part)
            reading.loss_tensor = train_step(training, batch, self.step - 1, part, on_gradients)
        mark.stop()
        self._finish(reading)

    def hand_on(self, wait: bool = False) -> None:
        """Hand on the readings of steps that the device has finished; with `wait` those of all that were begun."""
        readings = self._readout.fetch(wait)
        if self._disturbance is not None:
            self._disturbance.mark(readings)
        if self._gaps is not None:
            self._gaps.mark(readings)
        if readings:
            self._recorder.steps(readings)
            self.costs.add(readings)
            for reading in readings:
                self._losses.see(reading)
                if reading.taint is None:
                    self._plain_step_s = reading.step_ms / 1000

    # ------------------------------------------------------------------ within a step

    def _plain_step(self, with_probes: bool, with_update: bool = False) -> None:
        """A timed step, as all measured ones are."""
        self._begin_step()
        if self._learning is not None:
            self._learning.begin_step()
        self._within.begin(with_probes, with_update)
        mark = self._clock.start()
        reading = StepReading(
            self.step, self._phase, self._setup.tokens_per_step, mark, taint=self.taint, probed=with_probes,
            captured_ms=self._budget.captured_ms,
        )
        index = self._turns.index(self.step, self._setup.total_steps) if self._turns else self.step - 1
        batch = self._setup.task.batch(index, self._setup.device)

        def on_gradients() -> None:
            self._within.gradients_are_there(reading)
            self._losses.gradients_are_there(batch, self.step)
            if self._learning is not None:
                self._learning.gradients_are_there()

        reading.loss_tensor = train_step(self._setup.training, batch, index, self.parts, on_gradients)
        mark.stop()
        self._within.end(reading, with_update)
        if with_probes:
            self.costs.step_had_probes(reading)
        self._finish(reading)

    def _begin_step(self) -> None:
        self.step += 1
        self.parts.current = ""

    def _finish(self, reading: StepReading) -> None:
        if self.step == 1:
            self._kernels.told()
        self.taint = None
        if self._turns is not None:
            self._turns.stepped(reading.taint is None)
        reading.learning_rate = float(self._setup.training.optimizer.param_groups[0]["lr"])
        self._readout.add(reading)
        if self._readout.due():
            self.hand_on()
