"""The loop around the steps: compile, warm up, measure, probe, profile; between two steps it looks at the controls."""

from __future__ import annotations

import contextlib
import time

from tfx_engine.measure.budget import Budget
from tfx_engine.measure.clock import Clock
from tfx_engine.measure.disturbance import Disturbance
from tfx_engine.measure.gaps import Gaps
from tfx_engine.measure.memory import MemoryMeter, is_out_of_memory
from tfx_engine.measure.trace_file import allocator_snapshot
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.taint import AFTER_A_PAUSE
from tfx_engine.train.compiling import Compilation
from tfx_engine.train.control import RunControl
from tfx_engine.train.probing import Probes
from tfx_engine.train.profiling import Profile
from tfx_engine.train.recorder import Recorder
from tfx_engine.train.setup import Setup
from tfx_engine.train.step import no_name
from tfx_engine.train.stepping import Steps
from tfx_engine.train.turns import Turns

_PAUSE_LOOK_S = 0.05
_PAUSED = tr_mark("Paused after step {step}.")
_RESUMED = tr_mark("Goes on with step {step}.")
_PROBES_OFF = tr_mark("Nothing was captured: this run measures only its clock and its loss.")
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
        self.is_complete = False
        self._setup, self._clock = setup, clock
        self._recorder, self._control, self._turns = recorder, control, turns
        self._run = setup.config.run
        self._budget = Budget(self._run)
        self._probes = Probes(setup, recorder, self._budget) if self._run.probes else None
        self._compilation = Compilation(setup.training, recorder)
        self._steps = Steps(setup, clock, meter, recorder, control, self._budget, turns, disturbance, gaps)
        self.parts = self._steps.parts

    @property
    def step(self) -> int:
        """The number of the step under way, or of the last one; 0 before the first."""
        return self._steps.step

    def run(self) -> None:
        """All steps. Whatever was read is handed on, also when this raises."""
        try:
            if self._compile() and self._warm_up() and self._measure():
                if self._steps.can_split:
                    self._steps.enter("probe")
                    self._steps.split_memory()
                self.is_complete = True
                if self._wants_profile():
                    self._profile()
            self._compilation.say_if_there_was_more()
        finally:
            self._steps.hand_on(wait=True)

    def _compile(self) -> bool:
        """A phase of its own: no step waits for the compiler."""
        if not self._setup.training.is_compiled:
            return True
        self._steps.enter("compile")
        self._compilation.begin(self._setup.task.batch(0, self._setup.device))
        return self._may_go_on()

    def _warm_up(self) -> bool:
        if self._run.warmup_steps:
            self._steps.enter("warmup")
        if self._probes:
            self._probes.all(step=0)
        for left in reversed(range(self._run.warmup_steps)):
            if not self._may_go_on():
                return False
            self._steps.warm_up(is_last=left == 0)
        return self._may_go_on()

    def _measure(self) -> bool:
        self._steps.begin_measuring()
        own = self._run.measure_steps
        for measured in self._turns.steps(own) if self._turns else range(1, own + 1):
            if not (self._has_turn() and self._may_go_on()):
                break
            self._steps.measure(measured)
            if self._probes and measured < self._run.measure_steps:
                self._probes.scheduled(measured, self._steps.step)
            self._give_turn_back(measured)
        self._steps.hand_on(wait=True)
        self._budget.end()
        if self._turns:
            self._turns.wait_for_the_end(self._control.stop)
        self._steps.end_measuring()
        if self._probes and not self._control.stop.is_interrupted:
            self._probes.all(self._steps.step)
            self._steps.costs.write()
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
        self._steps.taint = AFTER_A_PAUSE
        return True

    def _give_turn_back(self, measured: int) -> None:
        if self._turns is None:
            return
        is_last = self._turns.is_last(measured, self._run.measure_steps)
        if is_last or self._turns.is_used_up():
            self._steps.hand_on(wait=True)
            self._turns.give_back(is_last)

    def _may_go_on(self) -> bool:
        """Look at the controls: answer probe requests, hold while paused. False: the run is to end."""
        self._answer_requests()
        if self._control.paused and not self._control.stop.is_set():
            self._hold()
        return not self._control.stop.is_set()

    def _hold(self) -> None:
        self._steps.hand_on(wait=True)
        begun_s, asked_s = time.perf_counter(), self._budget.spent_s["request"]
        self._recorder.event("state", "paused", _PAUSED, step=self._steps.step)
        while self._control.paused and not self._control.stop.wait(_PAUSE_LOOK_S):
            self._answer_requests()
        held_s = time.perf_counter() - begun_s
        self._budget.skip(held_s - self._budget.spent_s["request"] + asked_s)
        if self._turns is not None:
            self._turns.skip(held_s)
        if not self._control.stop.is_set():
            self._recorder.event("state", "resumed", _RESUMED, step=self._steps.step + 1)
            self._steps.taint = AFTER_A_PAUSE

    def _answer_requests(self) -> None:
        for request in self._control.requests():
            if self._probes:
                with self._budget.spending("request"):
                    self._probes.requested(request, self._steps.step)
            else:
                self._recorder.event("problem", "probes-off", _PROBES_OFF)

    def _profile(self) -> None:
        """Steps that say where time goes; they count in no statistics."""
        self._steps.enter("profile")
        profile = Profile(self._setup, self._clock)
        try:
            for look in profile.looks() if self._run.profile else ():
                if not self._may_go_on():
                    return
                self._steps.profile(profile.training, look)
            if self._run.profile:
                self._recorder.profile(profile.profiler.result(), self._steps.step)
            if self._run.snapshot and self._may_go_on():
                self._recorder.snapshot(allocator_snapshot(
                    lambda: self._steps.profile(profile.training, contextlib.nullcontext(no_name))
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
