"""Loss on held-out data, in evaluation mode and without gradients: the training does not notice."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from tfx_engine.measure.attention import evaluating

BATCHES = 2  # held-out batches of one evaluation at most: always the same ones, so that evaluations can be compared


@torch.no_grad()
def held_out_loss(
    model: nn.Module,
    batches: list[tuple[Tensor, Tensor]],
    precision: Callable[[], AbstractContextManager[object]],
    loss: Callable[[Tensor, Tensor], Tensor],
    ignored: int,
) -> tuple[float, int]:
    """(mean loss in nats over all targets that count, how many these are). Waits for the device."""
    total, tokens = 0.0, 0
    with evaluating(model):
        for inputs_BT, targets_BT in batches:
            with precision():
                mean = loss(model(inputs_BT), targets_BT)
            counted = int((targets_BT != ignored).sum())
            total += mean.item() * counted
            tokens += counted
    return (total / tokens if tokens else float("nan")), tokens
