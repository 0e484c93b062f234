"""Slot `init`: which numbers the weights begin with, and what follows from it for rates and outputs."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn


class Initial(Protocol):
    """What a technique of the slot provides. A module's own `initialise_parameter` comes before it."""

    output_multiplier: float  # on the logits; 1 where nothing is said

    def fill(self, name: str, parameter: nn.Parameter | torch.Tensor, generator: torch.Generator) -> None:
        """Fill a parameter in place; `name` is its full name in the model."""

    def rate(self, name: str, parameter: nn.Parameter) -> float:
        """Factor on the learning rate of a parameter."""

    def attention_scale(self, head_width: int) -> float:
        """What the products of queries and keys are multiplied by."""
