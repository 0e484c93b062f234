"""Slot `precision`: in which number format the model computes."""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import nn
from torch.amp import GradScaler


class Precision(Protocol):
    """How forward and loss are run. `tolerance`: error relative to float32 that one layer may show.

    `dtype`: of the weights. `scaler` makes what keeps small gradients from vanishing, or None where there is no need.
    """

    tolerance: float
    dtype: torch.dtype

    def convert(self, model: nn.Module) -> None:
        """Change the modules of a model that compute otherwise, before its weights are filled."""

    def scaler(self, device_type: str) -> GradScaler | None:
        """What losses are scaled with, or None."""

    def context(self, device_type: str) -> AbstractContextManager[Any]:
        """What to put around forward and loss (not around backward), once a step."""


class PlainPrecision:
    """What most precisions have in common: float32 weights, no conversion, no scaler."""

    tolerance = 0.0
    dtype = torch.float32

    def convert(self, model: nn.Module) -> None:
        """Every module computes as it is."""

    def scaler(self, device_type: str) -> GradScaler | None:
        """Nothing is scaled."""
        return None

    def context(self, device_type: str) -> AbstractContextManager[Any]:
        """A context that does nothing."""
        return contextlib.nullcontext()
