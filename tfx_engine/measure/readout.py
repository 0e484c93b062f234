"""What the steps left on the device, fetched many steps at once, so that no step waits for being read.

Every step leaves its loss and its gradient norms as tensors and its time as a mark. `fetch` takes those that the device
has finished, in one transfer beside the training's own queue. Shapes: L layers of the grouping.
"""

from __future__ import annotations

import collections
import dataclasses
import time
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from torch import Tensor

from tfx_engine.measure.clock import Mark
from tfx_engine.measure.gradients import global_norm
from tfx_engine.measure.memory import StepMemory

PERIOD_S = 0.2  # between two fetches; a step that takes longer is fetched at its end


@dataclasses.dataclass
class StepReading:
    """One step. What lies on the device is turned into numbers by `Readout.fetch`."""

    step: int
    phase: str
    tokens: int
    mark: Mark
    loss_tensor: Tensor | None = None
    norms_tensor_L: Tensor | None = None
    learning_rate: float = float("nan")
    taint: str | None = None
    probed: bool = False  # whether gradient norms and memory were read
    probe_ms: float | None = None  # what they took
    probe_mark: Mark | None = None  # what of it the device took, in its own time; `fetch` adds it to `probe_ms`
    captured_ms: float = 0.0  # that probes between steps had taken when it began
    memory: StepMemory = dataclasses.field(default_factory=StepMemory)
    update_L: np.ndarray | None = None
    weight_L: np.ndarray | None = None
    # filled in by `fetch`
    loss: float = float("nan")
    step_ms: float = float("nan")
    t_ms: float = float("nan")
    layer_grad_norm: np.ndarray | None = None

    @property
    def grad_norm(self) -> float | None:
        """The norm over all layers; None where gradients are not measured."""
        return None if self.layer_grad_norm is None else global_norm(self.layer_grad_norm)

    @property
    def update_ratio(self) -> float | None:
        """|update| / |weight| over all layers; None on the steps where it is not taken."""
        if self.update_L is None or self.weight_L is None:
            return None
        weight = global_norm(self.weight_L)
        return global_norm(self.update_L) / weight if weight else None

    @property
    def layer_update_ratio(self) -> np.ndarray | None:
        """float32 [L]; NaN for a layer without trainable weights, or whose weights are all zero."""
        if self.update_L is None or self.weight_L is None:
            return None
        return np.divide(self.update_L, self.weight_L, out=np.full_like(self.update_L, np.nan), where=self.weight_L > 0)


class Readout:
    """The steps that are still to be read."""

    def __init__(self, device: torch.device) -> None:
        self._waiting: collections.deque[StepReading] = collections.deque()
        self._device = device
        self._fetched_at = 0.0
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def add(self, reading: StepReading) -> None:
        """A step has been handed to the device."""
        self._waiting.append(reading)

    def due(self) -> bool:
        """Whether it is time to fetch."""
        return bool(self._waiting) and time.monotonic() - self._fetched_at >= PERIOD_S

    def fetch(self, wait: bool = False) -> list[StepReading]:
        """The finished steps with their numbers, oldest first. `wait`: all steps, waiting for the device."""
        self._fetched_at = time.monotonic()
        ready = []
        while self._waiting and (wait or self._waiting[0].mark.done()):
            ready.append(self._waiting.popleft())
        if ready:
            self._read(ready)
        return ready

    def _read(self, ready: list[StepReading]) -> None:
        for reading in ready:
            reading.step_ms, reading.t_ms = reading.mark.read()
            if reading.probe_mark is not None:
                reading.probe_ms = (reading.probe_ms or 0.0) + reading.probe_mark.read()[0]
        with self._beside_the_training():
            pieces = [t.float().view(-1) for r in ready for t in (r.loss_tensor, r.norms_tensor_L) if t is not None]
            numbers = torch.cat(pieces).cpu().numpy()
        at = 0
        for reading in ready:
            reading.loss = float(numbers[at])
            at += 1
            if reading.norms_tensor_L is not None:
                reading.layer_grad_norm = numbers[at : at + len(reading.norms_tensor_L)]
                at += len(reading.norms_tensor_L)

    def _beside_the_training(self) -> AbstractContextManager[object]:
        """The steps to be read are finished, so a copy in a queue of its own need not wait for those behind them."""
        return torch.cuda.stream(self._stream) if self._stream is not None else nullcontext()
