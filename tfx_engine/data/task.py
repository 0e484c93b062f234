"""What every task offers. B batch, T tokens."""

from __future__ import annotations

import abc
from typing import Any

import torch
from torch import Tensor

from tfx_engine.protocol.config import Config
from tfx_engine.techniques.initial import generator_for
from tfx_engine.techniques.loss import IGNORED as IGNORED


class Task(abc.ABC):
    """A source of batches, the same for the same seed whatever else is configured."""

    held_out_batches: int  # how many fixed batches of held-out data there are

    def __init__(self, config: Config) -> None:
        self.seed, self.batch_size, self.context = config.seed, config.run.batch, config.model.context

    def batch(self, step: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """The batch of a step: inputs_BT and targets_BT, int64; a target of -100 does not count."""
        return self._move(self._make(generator_for(self.seed, "data", step), self.batch_size), device)

    def held_out(self, index: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor]:
        """One of the `held_out_batches`, which no training step sees. Raises IndexError beyond them."""
        if not 0 <= index < self.held_out_batches:
            raise IndexError(f"there are {self.held_out_batches} held-out batches, not {index + 1}")
        return self._move(self._make_held_out(index), device)

    @abc.abstractmethod
    def _make(self, generator: torch.Generator, size: int) -> tuple[Tensor, Tensor]:
        """A batch of training data on the CPU."""

    @abc.abstractmethod
    def _make_held_out(self, index: int) -> tuple[Tensor, Tensor]:
        """A batch of held-out data on the CPU."""

    @abc.abstractmethod
    def facts(self) -> dict[str, Any]:
        """What one must know to repeat it: for text the source, its bytes and SHA-256."""

    @abc.abstractmethod
    def token_text(self, token: int) -> str:
        """A short label for a token."""

    @staticmethod
    def _move(batch: tuple[Tensor, Tensor], device: torch.device | str) -> tuple[Tensor, Tensor]:
        kind = torch.device(device).type
        if kind == "cpu":
            return batch
        if kind == "cuda":  # from pinned memory the copy does not wait for the device
            batch = batch[0].pin_memory(), batch[1].pin_memory()
        return batch[0].to(device, non_blocking=True), batch[1].to(device, non_blocking=True)
