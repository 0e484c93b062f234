"""Slot `update`: when weights move: after the whole backward pass, or while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from torch import nn
from torch.optim import Optimizer

MakeOptimizer = Callable[[Iterable[tuple[str, nn.Parameter]]], Optimizer]
Watcher = Callable[[nn.Parameter], None]


class Update(Protocol):
    """What a technique of the slot provides: `optimizers` are those that the step (or the hooks) use."""

    is_in_backward: bool

    def attach(self, model: nn.Module, make: MakeOptimizer) -> Optimizer:
        """The optimizer of a model, with whatever hooks it needs. Its `step()` does what is left to do."""


def watchers_of(optimizer: Optimizer) -> list[Watcher] | None:
    """Whom an optimizer shows each parameter with its gradient before both are changed.

    None: its gradients are all there when the backward pass is over, and nobody needs to watch.
    """
    return getattr(optimizer, "watchers", None)
