"""Slot `optimizer`: how gradients become weight changes; what the optimisers share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import nn

# Devices on which torch has one fused kernel for the whole update: no temporary of the size of the model.
_FUSED_DEVICES = frozenset({"cpu", "cuda", "mps", "xpu"})


def decay_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, Any]]:
    """The trainable parameters in two groups: matrices, which decay, and biases and norms, which do not."""
    trainable = [p for p in parameters if p.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.dim() < 2], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def fused_where_possible(groups: list[dict[str, Any]]) -> bool | None:
    """True where torch has the fused kernel for these parameters; None leaves the choice to torch."""
    devices = {p.device.type for group in groups for p in group["params"]}
    return True if devices and devices <= _FUSED_DEVICES else None
