"""Slot `adapter`: which small set of weights is trained instead of the whole model."""

from __future__ import annotations

from typing import Protocol

from torch import nn

PREFIX = "adapter_"  # every parameter that an adapter adds begins so; the memory split tells them apart by it


class Adapter(Protocol):
    """What an adapter does to an assembled model. `merges`: after `merge` its own weights hold nothing that counts."""

    merges: bool

    def apply(self, model: nn.Module) -> None:
        """Add the adapter's weights and freeze what it does not train."""

    def merge(self, model: nn.Module) -> None:
        """Put what was learnt into the base weights: from here on the adapter costs nothing."""

    def unmerge(self, model: nn.Module) -> None:
        """The exact opposite of `merge`."""

    def rate(self, name: str, parameter: nn.Parameter) -> float:
        """Factor on the learning rate of a parameter."""


def count_numbers(model: nn.Module, trained_only: bool = False) -> int:
    """How many numbers the parameters of a model stand for, of all or of the trained ones.

    A module that keeps its parameters packed, several numbers in one, has `numbers_packed`: how many more these stand
    for than they hold.
    """
    held = sum(p.numel() for p in model.parameters() if p.requires_grad or not trained_only)
    return held if trained_only else held + sum(getattr(module, "numbers_packed", 0) for module in model.modules())


def is_adapter(parameter_name: str) -> bool:
    """Whether a parameter of that name was added by an adapter."""
    return parameter_name.rpartition(".")[2].startswith(PREFIX)
