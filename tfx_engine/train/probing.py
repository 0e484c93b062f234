"""The probes between steps: attention maps and held-out loss. They never change what the training does."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tfx_engine.measure.attention import capture_attention
from tfx_engine.measure.budget import Budget
from tfx_engine.measure.clock import wait_for
from tfx_engine.measure.evaluation import evaluate
from tfx_engine.measure.memory import is_out_of_memory
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.train.control import ProbeRequest
from tfx_engine.train.recorder import Recorder
from tfx_engine.train.setup import Setup

_NO_MEMORY = tr_mark("A probe after step {step} was left out: {error}")
_NOT_CAPTURED = tr_mark("The attention was not captured: {error}.")


class Probes:
    """Takes probes of a training and hands them to the recorder. The sample is always the same held-out one."""

    def __init__(self, setup: Setup, recorder: Recorder, budget: Budget) -> None:
        self._setup, self._recorder, self._budget = setup, recorder, budget
        count = min(setup.task.evaluated_batches, setup.task.held_out_batches)
        self._batches = [setup.task.held_out(i) for i in range(count)]

    def all(self, step: int) -> None:
        """Both, whatever they cost: before the first step and after the last."""
        for probe, take in (("evaluation", self.evaluate), ("attention", self.attention)):
            with self._budget.learning(probe):
                self._take(take, step)

    def scheduled(self, measured_step: int, step: int) -> None:
        """Those that are due after this measured step."""
        for probe, take in (("attention", self.attention), ("evaluation", self.evaluate)):
            if self._budget.due(probe, measured_step):
                wait_for(self._setup.device)  # what it does before is no cost of ours
                with self._budget.spending(probe):
                    self._take(take, step)

    def requested(self, request: ProbeRequest, step: int) -> None:
        """What somebody wants to see now."""
        self._take(lambda step: self.attention(step, request), step)

    def _take(self, probe: Callable[[int], None], step: int) -> None:
        """A probe that finds no memory is left out; the training goes on."""
        try:
            probe(step)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            first_line = str(error).partition("\n")[0]
            self._recorder.event("problem", "probe-out-of-memory", _NO_MEMORY, step=step, error=first_line)

    def evaluate(self, step: int) -> None:
        """Held-out loss and accuracy after `step` steps."""
        if not self._batches:
            return
        training, device = self._setup.training, self._setup.device
        batches = [(inputs.to(device), targets.to(device)) for inputs, targets in self._batches]
        self._recorder.evaluation(evaluate(training.model, batches, self._setup.task, training.precision), step)

    def attention(self, step: int, request: ProbeRequest | None = None) -> None:
        """The attention maps after `step` steps: all, or those of a request. A wrong request becomes an event."""
        inputs = self._sample()
        request = request or ProbeRequest()
        training = self._setup.training
        try:
            maps = capture_attention(training.model, inputs, training.precision(), request.layer, request.head)
        except ValueError as error:
            self._recorder.event("problem", "no-such-head", _NOT_CAPTURED, error=str(error))
            return
        if maps.layers:
            self._recorder.attention(maps, step)

    def _sample(self) -> torch.Tensor:
        inputs = self._batches[0][0] if self._batches else self._setup.task.batch(0)[0]
        return inputs[:1].to(self._setup.device)
