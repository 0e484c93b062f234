"""Slot `placement`: where the norm stands relative to the residual sum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import nn


class Placement(Protocol):
    """How a block is put together. `final_norm`: whether a norm stands before the head."""

    final_norm: bool

    def block(self, attention: nn.Module, feedforward: nn.Module, make_norm: Callable[[], nn.Module]) -> nn.Module:
        """A module (x_BTD, mask) -> x_BTD."""
