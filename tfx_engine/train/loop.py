"""The loop around the step: warm up, measure, probe; look at the controls between steps; hand readings on.

Only what is between `clock.start()` and `mark.stop()` counts as the step's time. Whatever else measuring needs happens
before or after. The loop fetches what finished steps left on the device a few times a second and never waits for a
reader.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from contextlib import AbstractContextManager
from functools import partial

from tfx_engine.measure.budget import Budget
from tfx_engine.measure.clock import Clock
from tfx_engine.measure.disturbance import Disturbance
from tfx_engine.measure.gaps import Gaps
from tfx_engine.measure.memory import MemoryMeter, is_out_of_memory
from tfx_engine.measure.memory_split import MemoryProbe, can_split
from tfx_engine.measure.parts import Parts
from tfx_engine.measure.readout import Readout, StepReading
from tfx_engine.measure.trace_file import allocator_snapshot
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.status import Phase
from tfx_engine.protocol.taint import AFTER_A_PAUSE, MEMORY_PROBE, PROFILE
from tfx_engine.train.compiling import Compilation
from tfx_engine.train.control import RunControl
from tfx_engine.train.costs import Costs
from tfx_engine.train.kernels import Kernels
from tfx_engine.train.learning import Learning
from tfx_engine.train.losing import LossWatch
from tfx_engine.train.probing import Probes
from tfx_engine.train.profiling import Part, Profile, both
from tfx_engine.train.recorder import Recorder
from tfx_engine.train.setup import Setup
from tfx_engine.train.step import Training, no_name, train_step
from tfx_engine.train.turns import Turns
from tfx_engine.train.within import Within

_PAUSE_LOOK_S = 0.05
_PAUSED = tr_mark("Paused after step {step}.")
_RESUMED = tr_mark("Goes on with step {step}.")
_PROBES_OFF = tr_mark("Nothing was captured: this run measures only its clock and its loss.")
_NO_ROOM = tr_mark("It needs a copy of the weights in host memory, which has no room for it.")
_NO_PROFILE = tr_mark("The profiler failed: {error}")
_NO_CUDA = tr_mark("An allocator snapshot needs CUDA: other devices' allocators keep no record of what they did.")
_NO_MEMORY = tr_mark("There was not enough memory to profile a step.")


class Loop:
    """Trains a setup to its end, or until it is told to stop. `step` and `parts.current` say where it is.

    `is_complete`: all steps that were asked for are done; profiling is extra.
    """

    def __init__(
        self, setup: Setup, clock: Clock, meter: MemoryMeter, recorder: Recorder, control: RunControl,
        disturbance: Disturbance | None = None, turns: Turns | None = None, gaps: Gaps | None = None,
    ) -> None:
        """`turns`: where the run takes turns with others."""
        self.step = 0
        self.phase: Phase = "warmup"
        self.parts = Parts()
        self.is_complete = False
        self._setup, self._clock = setup, clock
        self._recorder, self._control, self._disturbance, self._turns = recorder, control, disturbance, turns
        self._gaps = gaps
        self._run = setup.config.run
        self._budget = Budget(self._run)
        self._probes = Probes(setup, recorder, self._budget) if self._run.probes else None
        self._within = Within(setup, meter, self.parts, self._budget, clock)
        self._costs = Costs(self._run, self._budget, recorder, self._within.host_waits)
        self._readout = Readout(setup.device)
        self._splits = self._run.probes and can_split(setup.device)
        if self._run.probes and not self._within.knows_updates:
            recorder.missing("update_ratio", _NO_ROOM)
        self._taint: str | None = None  # of the next step
        self._plain_step_s = 0.0
        self._kernels = Kernels(setup.training.model, recorder)
        self._compilation = Compilation(setup.training, recorder)
        self._learning: Learning | None = None  # while steps are measured
        self._losses = LossWatch(setup, recorder, control, self._budget)

    def run(self) -> None:
        """All steps. Whatever was read is handed on, also when this raises."""
        try:
            if self._compile() and self._warm_up() and self._measure():
                if self._splits:
                    self._enter("probe")
                    self._memory_step()
                self.is_complete = True
                if self._wants_profile():
                    self._profile()
            self._compilation.say_if_there_was_more()
        finally:
            self._hand_on(wait=True)

    def _compile(self) -> bool:
        """A phase of its own: no step waits for the compiler."""
        if not self._setup.training.is_compiled:
            return True
        self._enter("compile")
        self._compilation.begin(self._setup.task.batch(0, self._setup.device))
        return self._may_go_on()

    def _warm_up(self) -> bool:
        if self._run.warmup_steps:
            self._enter("warmup")
        if self._probes:
            self._probes.all(step=0)
        for left in reversed(range(self._run.warmup_steps)):
            if not self._may_go_on():
                return False
            if left == 0 and self._splits:
                self._memory_step()
            else:
                self._plain_step(self._run.probes)
        return self._may_go_on()

    def _measure(self) -> bool:
        self._enter("measure")
        self._learning = Learning(self._setup.training, self._budget)
        self._budget.begin(self._plain_step_s)
        own = self._run.measure_steps
        for measured in self._turns.steps(own) if self._turns else range(1, own + 1):
            if not (self._has_turn() and self._may_go_on()):
                break
            if self._splits and self._budget.due("memory", measured):
                self._memory_step()
            else:
                probes = self._costs.next_has_probes(measured)
                self._plain_step(probes, probes and self._within.knows_updates and self._budget.due("update", measured))
            self._budget.step_done()
            if self._probes and measured < self._run.measure_steps:
                self._probes.scheduled(measured, self.step)
            self._give_turn_back(measured)
        self._hand_on(wait=True)
        self._budget.end()
        if self._turns:
            self._turns.wait_for_the_end(self._control.stop)
        self._costs.finish()
        if self._costs.overhead.measured:
            self._learning.say(self._recorder)
        self._learning = None
        if self._probes and not self._control.stop.is_interrupted:
            self._probes.all(self.step)
            self._costs.write()
        return self._may_go_on()

    def _has_turn(self) -> bool:
        """Wait while others step; False: there is no turn any more."""
        if self._turns is None or self._turns.is_ours:
            return True
        begun_s = time.perf_counter()
        turn = self._turns.wait(self._control.stop)
        self._budget.skip(time.perf_counter() - begun_s)
        if turn is None:
            return False
        self._recorder.turn(turn.round, turn.block)
        self._taint = AFTER_A_PAUSE
        return True

    def _give_turn_back(self, measured: int) -> None:
        if self._turns is None:
            return
        is_last = self._turns.is_last(measured, self._run.measure_steps)
        if is_last or self._turns.is_used_up():
            self._hand_on(wait=True)
            self._turns.give_back(is_last)

    def _enter(self, phase: Phase) -> None:
        self._hand_on(wait=True)
        self.phase = phase
        self._recorder.phase(phase)

    def _may_go_on(self) -> bool:
        """Look at the controls: answer probe requests, hold while paused. False: the run is to end."""
        self._answer_requests()
        if self._control.paused and not self._control.stop.is_set():
            self._hold()
        return not self._control.stop.is_set()

    def _hold(self) -> None:
        self._hand_on(wait=True)
        begun_s, asked_s = time.perf_counter(), self._budget.spent_s["request"]
        self._recorder.event("state", "paused", _PAUSED, step=self.step)
        while self._control.paused and not self._control.stop.wait(_PAUSE_LOOK_S):
            self._answer_requests()
        held_s = time.perf_counter() - begun_s
        self._budget.skip(held_s - self._budget.spent_s["request"] + asked_s)
        if self._turns is not None:
            self._turns.skip(held_s)
        if not self._control.stop.is_set():
            self._recorder.event("state", "resumed", _RESUMED, step=self.step + 1)
            self._taint = AFTER_A_PAUSE

    def _answer_requests(self) -> None:
        for request in self._control.requests():
            if self._probes:
                with self._budget.spending("request"):
                    self._probes.requested(request, self.step)
            else:
                self._recorder.event("problem", "probes-off", _PROBES_OFF)

    def _plain_step(self, with_probes: bool, with_update: bool = False) -> None:
        """A timed step, as all measured ones are."""
        self._begin_step()
        if self._learning is not None:
            self._learning.begin_step()
        self._within.begin(with_probes, with_update)
        mark = self._clock.start()
        reading = StepReading(
            self.step, self.phase, self._setup.tokens_per_step, mark, taint=self._taint, probed=with_probes,
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
            self._costs.step_had_probes(reading)
        self._finish(reading)

    def _memory_step(self) -> None:
        """A step whose every allocation is recorded. That slows it down, so it counts in no time statistics."""
        self._hand_on(wait=True)  # only then is the time its own
        begun_s = time.perf_counter()
        self._begin_step()
        setup = self._setup
        batch = setup.task.batch(self.step - 1, setup.device)
        self._within.begin(is_on=True)
        mark = self._clock.start()
        reading = StepReading(
            self.step, self.phase, setup.tokens_per_step, mark, taint=MEMORY_PROBE, probed=True,
            captured_ms=self._budget.captured_ms,
        )
        probe = MemoryProbe(
            setup.training.model, setup.training.optimizer, batch, setup.device,
            is_compiled=setup.training.is_compiled, with_shapes=self.phase == "probe",
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
        self._recorder.memory(split, self.step, self.phase)
        self._kernels.seen(split.kernels)
        cost_s = max(0.0, time.perf_counter() - begun_s - self._plain_step_s)
        (self._budget.charge if self.phase == "measure" else self._budget.learn)("memory", cost_s)
        self._finish(reading)

    def _profile(self) -> None:
        """Steps that say where time goes; they count in no statistics."""
        self._enter("profile")
        profile = Profile(self._setup, self._clock)
        try:
            for look in profile.looks() if self._run.profile else ():
                if not self._may_go_on():
                    return
                self._profiled_step(profile.training, look)
            if self._run.profile:
                self._recorder.profile(profile.profiler.result(), self.step)
            if self._run.snapshot and self._may_go_on():
                self._recorder.snapshot(allocator_snapshot(
                    lambda: self._profiled_step(profile.training, contextlib.nullcontext(no_name))
                ))
        except Exception as error:  # whatever it is, it must not cost a run what it has measured
            reason = _NO_MEMORY if is_out_of_memory(error) else _NO_PROFILE.format(error=error)
            self._recorder.missing("time_ms", reason)
            self._recorder.event("problem", "not-profiled", "{reason}", reason=reason)

    def _wants_profile(self) -> bool:
        if self._run.snapshot and self._setup.device.type != "cuda":
            self._recorder.missing("snapshot", _NO_CUDA)
        takes = self._run.profile or (self._run.snapshot and self._setup.device.type == "cuda")
        return self._run.probes and takes and not self._control.stop.is_set()

    def _profiled_step(self, training: Training, look: AbstractContextManager[Part]) -> None:
        self._begin_step()
        self._within.begin(is_on=True)
        setup = self._setup
        mark = self._clock.start()
        reading = StepReading(self.step, self.phase, setup.tokens_per_step, mark, taint=PROFILE, probed=True)
        with look as seen:
            part = both(self.parts, seen)
            with part("data"):
                batch = setup.task.batch(self.step - 1, setup.device)
            on_gradients = partial(self._within.gradients_are_there, reading, part)
            reading.loss_tensor = train_step(training, batch, self.step - 1, part, on_gradients)
        mark.stop()
        self._finish(reading)

    def _begin_step(self) -> None:
        self.step += 1
        self.parts.current = ""

    def _finish(self, reading: StepReading) -> None:
        if self.step == 1:
            self._kernels.told()
        self._taint = None
        if self._turns is not None:
            self._turns.stepped(reading.taint is None)
        reading.learning_rate = float(self._setup.training.optimizer.param_groups[0]["lr"])
        self._readout.add(reading)
        if self._readout.due():
            self._hand_on()

    def _hand_on(self, wait: bool = False) -> None:
        readings = self._readout.fetch(wait)
        if self._disturbance is not None:
            self._disturbance.mark(readings)
        if self._gaps is not None:
            self._gaps.mark(readings)
        if readings:
            self._recorder.steps(readings)
            self._costs.add(readings)
            for reading in readings:
                self._losses.see(reading)
                if reading.taint is None:
                    self._plain_step_s = reading.step_ms / 1000
