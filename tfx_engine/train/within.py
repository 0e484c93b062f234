"""What is read within a step and right around it: gradient norms, memory, update ratios."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from torch import nn

from tfx_engine.measure.budget import Budget
from tfx_engine.measure.clock import Clock, wait_for
from tfx_engine.measure.gradients import LayerNorms, UpdateRatio
from tfx_engine.measure.memory import MemoryMeter
from tfx_engine.measure.parts import MEASURE, Parts
from tfx_engine.measure.readout import StepReading
from tfx_engine.techniques.update import watchers_of
from tfx_engine.train.setup import Setup

Part = Callable[[str], AbstractContextManager[object]]


class Within:
    """The probes of one step at a time; `begin` says whether it has any."""

    def __init__(self, setup: Setup, meter: MemoryMeter, parts: Parts, budget: Budget, clock: Clock) -> None:
        self.host_waits = setup.device.type == "cpu"  # for all that it asks of the device
        self._clock = clock if setup.device.type in ("cuda", "xpu") else None  # which has a time of its own
        self._setup, self._meter, self._parts, self._budget = setup, meter, parts, budget
        self._norms = LayerNorms(setup.training.model, setup.layer_of, len(setup.layer_names))
        self._update = UpdateRatio(self._norms)
        self.knows_updates = setup.config.run.probes and self._update.fits()
        self._is_on = False
        self._spent_s = self._around_s = 0.0  # by all probes; by those right before and after the step
        if setup.config.run.probes and (watchers := watchers_of(setup.training.optimizer)) is not None:
            watchers.append(self._take_norm)

    def begin(self, is_on: bool, with_update: bool = False) -> None:
        """A step begins, with probes or without."""
        self._is_on, self._spent_s, self._around_s = is_on, 0.0, 0.0
        if with_update:
            with self._spending_on_update():
                self._update.before()
        if is_on:
            begun_s = time.perf_counter()
            self._meter.start()
            self._around_s = time.perf_counter() - begun_s

    def gradients_are_there(self, reading: StepReading, part: Part | None = None) -> None:
        """All of them; `part` is entered around what is read of them."""
        if self._is_on:
            with (part or self._parts)(MEASURE), self._timed():
                mark = self._clock.start() if self._clock else None
                reading.norms_tensor_L = self._norms.of_gradients()
                if mark is not None:
                    mark.stop()
                    reading.probe_mark = mark

    def _take_norm(self, parameter: nn.Parameter) -> None:
        """Of a gradient that moves its weight within the backward pass and is gone after it."""
        if self._is_on:
            with self._parts.within(MEASURE), self._timed():
                self._norms.take(parameter)

    def end(self, reading: StepReading, with_update: bool = False) -> None:
        """The step was handed to the device."""
        if with_update:
            with self._spending_on_update():
                reading.update_L, reading.weight_L = self._update.after()
        if self._is_on:
            begun_s = time.perf_counter()
            with self._timed():
                reading.memory = self._meter.stop()
            self._around_s += time.perf_counter() - begun_s
            if self.host_waits or self._clock is not None:
                reading.probe_ms = 1000 * (self._spent_s if self.host_waits else self._around_s)

    @contextmanager
    def _timed(self) -> Iterator[None]:
        begun_s = time.perf_counter()
        yield
        self._spent_s += time.perf_counter() - begun_s

    @contextmanager
    def _spending_on_update(self) -> Iterator[None]:
        wait_for(self._setup.device)  # what it does before is no cost of ours
        with self._budget.spending("update"):
            yield
