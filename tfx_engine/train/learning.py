"""When nothing is learnt: no trainable parameter moves, or what moves them is no gradient."""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor, nn

from tfx_engine.measure.budget import Budget
from tfx_engine.measure.overhead import EVERY_STEP
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.update import watchers_of
from tfx_engine.train.recorder import Recorder
from tfx_engine.train.step import Training

_NOTHING_MOVED = tr_mark(
    "The run learns nothing: not one of its {tensors} trainable tensors moved over the measured steps (learning rate "
    "{rate})."
)
_NO_GRADIENT = tr_mark(
    "The run learns nothing: none of its {tensors} trainable tensors had a finite gradient other than zero in the "
    "measured steps that were looked at ({steps}). What moves them is no gradient (weight decay, for instance)."
)
_NO_NUMBERS = tr_mark("The run learns nothing: its {tensors} trainable tensors are not finite numbers.")
_NOTHING_TRAINED = tr_mark("The run learns nothing: the model has no trainable parameter.")


class Learning:
    """Whether a training learns from when this was made: a trainable parameter moves, and a gradient is not zero.

    Moved: by two sums over every tensor, before and after; what is no finite number did not move. Gradients are looked
    at in the first step and then ever more rarely (1, 2, 4, 8 ...), without waiting for the device.
    """

    def __init__(self, training: Training, budget: Budget) -> None:
        self._optimizer, self._budget = training.optimizer, budget
        self._parameters = [p for p in training.model.parameters() if p.requires_grad]
        self._steps, self._looks, self._is_looking = 0, 0, False
        self._seen: Tensor | None = None  # whether one is not zero, on the device
        self._watchers = watchers_of(training.optimizer)
        if self._watchers is not None:
            self._watchers.append(self._look_at_one)
        self._before = self._sums()

    def begin_step(self) -> None:
        """A step that counts. One whose memory is recorded does not: looking would be seen there."""
        self._steps += 1
        self._is_looking = self._steps & (self._steps - 1) == 0
        self._looks += self._is_looking

    def gradients_are_there(self) -> None:
        """All of a step, before its update."""
        if self._is_looking:
            begun_s = time.perf_counter()
            self._look([p.grad for p in self._parameters if p.grad is not None])
            self._is_looking = False
            self._budget.charge_always(EVERY_STEP, time.perf_counter() - begun_s)

    def say(self, recorder: Recorder) -> None:
        """A warning where nothing is learnt, and the fact `learns`."""
        if self._watchers is not None:
            self._watchers.remove(self._look_at_one)
        said = {"tensors": len(self._parameters)}
        after = self._sums()
        had_gradient = not self._looks or (self._seen is not None and bool(self._seen))
        moved = any(bool(((a != b) & a.isfinite() & b.isfinite()).any())
                    for a, b in zip(self._before, after, strict=True))
        recorder.fact("learns", moved and had_gradient)
        if not self._parameters:
            recorder.event("warning", "learns-nothing", _NOTHING_TRAINED)
        elif not any(bool(sums.isfinite().all()) for sums in after):
            recorder.event("warning", "learns-nothing", _NO_NUMBERS, **said)
        elif not moved:
            rate = float(self._optimizer.param_groups[0]["lr"])
            recorder.event("warning", "learns-nothing", _NOTHING_MOVED, **said, rate=rate)
        elif not had_gradient:
            recorder.event("warning", "learns-nothing", _NO_GRADIENT, **said, steps=self._looks)

    def _look_at_one(self, parameter: nn.Parameter) -> None:
        """A gradient that is gone when the backward pass is over."""
        if self._is_looking and parameter.grad is not None:
            self._look([parameter.grad])

    def _look(self, gradients: list[Tensor]) -> None:
        if gradients:
            largest = torch.stack(list(torch._foreach_norm(gradients, math.inf, torch.float32)))  # type: ignore[arg-type]
            seen = (largest.isfinite() & (largest > 0)).any()
            self._seen = seen if self._seen is None else self._seen | seen

    @torch.no_grad()
    def _sums(self) -> list[Tensor]:
        return [torch.stack([p.sum(dtype=torch.float64), torch.linalg.vector_norm(p, dtype=torch.float64)]).cpu()
                for p in self._parameters]
