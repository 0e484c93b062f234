"""When numbers stop being finite: what is noticed of a training that goes wrong."""

from __future__ import annotations

import math
import time

import torch

from tfx_engine.measure.budget import Budget
from tfx_engine.measure.overhead import EVERY_STEP
from tfx_engine.measure.readout import StepReading
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.train.control import RunControl
from tfx_engine.train.not_a_number import Origin, find_origin
from tfx_engine.train.recorder import Recorder
from tfx_engine.train.setup import Setup
from tfx_engine.train.step import Batch

FIND = "find"
_LOST = tr_mark("The loss of step {step} is not a number ({loss}).")
_FOUND = tr_mark("The loss is a number again at step {step}, after {steps} steps.")
_MOVED_ON = tr_mark(
    "Where it began is not known: the weights had moved on before the loss was read. With on_nan = \"find\" every step "
    "is looked at before its update."
)


class LossWatch:
    """Says it once when numbers stop being finite and where that began, and once when the loss is one again.

    Ends the run where it is to.
    """

    def __init__(self, setup: Setup, recorder: Recorder, control: RunControl, budget: Budget) -> None:
        self._setup, self._recorder, self._control, self._budget = setup, recorder, control, budget
        self._on_nan = setup.config.run.on_nan
        self._lost_at: int | None = None  # since this step the loss is not a number
        self._origin: Origin | None = None
        self._parameters = [p for p in setup.training.model.parameters() if p.requires_grad]
        self._looks = bool(self._parameters) and (setup.device.type == "cpu" or self._on_nan == FIND)

    def gradients_are_there(self, batch: Batch, step: int) -> None:
        """Before an update. What is not finite in the gradients reaches the first layer: its gradient is looked at."""
        if not self._looks or self._origin is not None:
            return
        begun_s = time.perf_counter()
        gradient = self._parameters[0].grad
        are_finite = gradient is None or torch.isfinite(torch.linalg.vector_norm(gradient, dtype=torch.float32))
        self._budget.charge_always(EVERY_STEP, time.perf_counter() - begun_s)
        if are_finite:
            return
        origin = find_origin(self._setup.training, batch, step)
        # A scaled loss overflows now and then; the update is left out then, and nothing is lost.
        if self._setup.training.scaler is not None and origin.code not in ("origin-forward", "origin-loss"):
            return
        self._origin = origin
        self._recorder.event("warning", origin.code, origin.template, **origin.args)
        if self._on_nan == FIND:
            self._control.stop.set("stopped", origin.sentence)

    def see(self, reading: StepReading) -> None:
        """A finished step."""
        lost = not math.isfinite(reading.loss)
        if lost and self._lost_at is None:
            self._lost_at = reading.step
            args = {"step": reading.step, "loss": str(reading.loss)}
            self._recorder.event("warning", "loss-not-a-number", _LOST, **args)
            if self._origin is None and not self._looks:
                self._recorder.event("warning", "origin-unknown", _MOVED_ON)
            if self._on_nan != "continue":
                origin = f" {self._origin.sentence}" if self._origin else ""
                self._control.stop.set("stopped", _LOST.format_map(args) + origin)
        elif not lost and self._lost_at is not None:
            steps = reading.step - self._lost_at
            self._recorder.event("warning", "loss-is-a-number-again", _FOUND, step=reading.step, steps=steps)
            self._lost_at = None
