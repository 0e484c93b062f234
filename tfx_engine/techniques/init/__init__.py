"""Slot `init`: which numbers the weights begin with, and what follows from it for rates and outputs."""

from __future__ import annotations

import math
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


class MatrixInitial:
    """Matrices normal with `deviation`, biases 0, weights of norms 1; nothing else depends on the numbers."""

    output_multiplier = 1.0

    def deviation(self, name: str, parameter: torch.Tensor) -> float:
        """Of the numbers of a matrix."""
        raise NotImplementedError

    def fill(self, name: str, parameter: nn.Parameter | torch.Tensor, generator: torch.Generator) -> None:
        """As the class says."""
        if parameter.dim() >= 2:
            parameter.normal_(0.0, self.deviation(name, parameter), generator=generator)
        else:
            parameter.fill_(vector_start(name))

    def rate(self, name: str, parameter: nn.Parameter) -> float:
        """The same rate for all."""
        return 1.0

    def attention_scale(self, head_width: int) -> float:
        """1 / sqrt(K)."""
        return 1 / math.sqrt(head_width)


def vector_start(name: str) -> float:
    """What all numbers of a vector begin with: biases 0, weights of norms 1."""
    return 0.0 if name.endswith("bias") else 1.0


def writes_to_stream(name: str) -> bool:
    """Whether a matrix is the last of its branch: attention's output, or what narrows a feed-forward."""
    return name.startswith("blocks.") and name.endswith((".output.weight", ".down.weight"))


def is_table(name: str) -> bool:
    """Whether a matrix has a row for each token, place or class: not one from width to width."""
    return name.partition(".")[0] in ("embedding", "position", "head") and ".turn." not in name
