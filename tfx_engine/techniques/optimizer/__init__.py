"""Slot `optimizer`: how gradients become weight changes; what the optimisers share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from torch import nn

Group = dict[str, Any]

# Devices on which torch has one fused kernel for the whole update: no temporary of the size of the model.
_FUSED_DEVICES = frozenset({"cpu", "cuda", "mps", "xpu"})


Named = Iterable[tuple[str, nn.Parameter]]
Rate = Callable[[str, nn.Parameter], float]  # factor on the learning rate of a parameter


def same_rate(name: str, parameter: nn.Parameter) -> float:
    """One learning rate for all."""
    return 1.0


def decay_groups(named: Named, learning_rate: float, weight_decay: float, rate: Rate = same_rate) -> list[Group]:
    """The trainable parameters by what they have in common: matrices decay, biases and norms do not; and by rate."""
    groups: dict[tuple[bool, float], Group] = {}
    for name, parameter in named:
        if parameter.requires_grad:
            decays, factor = parameter.dim() >= 2, rate(name, parameter)
            new = {"params": [], "lr": learning_rate * factor, "weight_decay": weight_decay if decays else 0.0}
            groups.setdefault((not decays, factor), new)["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]


def fused_where_possible(groups: list[dict[str, Any]]) -> bool | None:
    """True where torch has the fused kernel for these parameters; None leaves the choice to torch."""
    devices = {p.device.type for group in groups for p in group["params"]}
    return True if devices and devices <= _FUSED_DEVICES else None
