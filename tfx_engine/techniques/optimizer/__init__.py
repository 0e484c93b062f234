"""Slot `optimizer`: how gradients become weight changes; what the optimisers share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from tfx_engine.techniques.tape import Weight

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


def is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    """Whether it is a matrix within a block: neither embedding, position, head, nor a vector."""
    return parameter.dim() == 2 and name.startswith("blocks.")


def implementation_of(optimizer: torch.optim.Optimizer) -> str:
    """Which code does the update, in a word or two, as the technique that built the optimiser says."""
    return getattr(optimizer, "implementation", type(optimizer).__name__)


class Together(torch.optim.Optimizer):
    """Several optimisers over different parameters as one: their groups in a row, their state in one dictionary.

    The groups are the very dictionaries that the parts look at, so a learning rate set here is set there.
    """

    def __init__(self, parts: Sequence[torch.optim.Optimizer]) -> None:
        self.parts = list(parts)
        super().__init__([{"params": group["params"]} for part in parts for group in part.param_groups], {})
        self.param_groups = [group for part in self.parts for group in part.param_groups]
        self.implementation = ", ".join(dict.fromkeys(implementation_of(part) for part in self.parts))
        self._share(defaultdict(dict))

    def _share(self, state: Any) -> None:
        self.state = state
        for part in self.parts:
            part.state = state

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """One step of every part; a closure is not supported."""
        if closure is not None:
            raise NotImplementedError("several optimisers cannot evaluate one closure")
        for part in self.parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's; afterwards the parts look at the loaded groups and state."""
        super().load_state_dict(state_dict)
        groups = iter(self.param_groups)
        for part in self.parts:
            part.param_groups = [next(groups) for _ in part.param_groups]
        self._share(self.state)


def together(parts: Sequence[torch.optim.Optimizer]) -> torch.optim.Optimizer:
    """One optimiser of several; the only one as it is."""
    return parts[0] if len(parts) == 1 else Together(parts)


def largest(weights: Iterable[Weight]) -> int:
    """Bytes of the largest parameter: what an optimiser that takes one after the other needs beside them."""
    return max((w.numbers * w.width for w in weights), default=0)
