"""What the adapters with a product of two thin matrices share. N inputs, M outputs, R rank."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.adapting import (
    AdaptedLinear,
    LinearAdapter,
    check_targets,
    frozen,
    is_target,
    targets_option,
)
from tfx_engine.techniques.costs import ROLES, Linear, Work, changed
from tfx_engine.techniques.counts import block_parts
from tfx_engine.techniques.ranges import doing
from tfx_engine.techniques.tape import Tape, Value


@dataclasses.dataclass(frozen=True)
class LowRankOptions:
    """What can be chosen for any of them."""

    rank: int = option(8, kind="int", label="rank", low=1, high=4096, help="Width of the detour, r.")
    alpha: float = option(
        16.0, kind="float", label="alpha", low=0.001, high=100_000.0,
        help="The detour is multiplied by alpha / rank, or alpha / sqrt(rank) where it is rank-stabilised.",
    )
    dropout: float = option(
        0.0, kind="float", label="dropout", low=0.0, high=0.9,
        help="Share of the detour's input set to zero in training.",
    )
    targets: tuple[str, ...] = targets_option(ROLES)
    rank_stabilised: bool = option(
        False, kind="bool", label="rank-stabilised",
        help="Multiply by alpha / sqrt(rank) instead, so that a large rank does not learn more slowly.",
    )
    b_rate: float = option(
        1.0, kind="float", label="rate of B", low=0.01, high=1000.0,
        help="Learning rate of B, as a multiple of that of A. LoRA+ takes 16.",
    )

    @property
    def scale(self) -> float:
        """What the detour is multiplied by."""
        return self.alpha / (math.sqrt(self.rank) if self.rank_stabilised else self.rank)


class LowRankLinear(AdaptedLinear):
    """W x + b + scale · B A x."""

    def __init__(self, base: nn.Linear, options: LowRankOptions) -> None:
        super().__init__(base)
        self.scale, self.dropout = options.scale, options.dropout
        self.adapter_A = self.added(options.rank, self.in_features)
        self.adapter_B = self.added(self.out_features, options.rank)

    def forward(self, x: Tensor) -> Tensor:
        """[..., N] -> [..., M]."""
        y = F.linear(x, self.weight, self.bias)
        return y if self.is_merged else y + self.detour(x)

    def detour(self, x: Tensor) -> Tensor:
        """scale · B A x, scaled where it is smallest."""
        with doing("adapter"):
            narrow = F.linear(F.dropout(x, self.dropout, self.training), self.adapter_A)
            return F.linear(narrow * self.scale, self.adapter_B)

    def change(self) -> Tensor:
        """scale · B A, [M, N]."""
        return self.scale * (self.adapter_B @ self.adapter_A)

    def merged(self) -> tuple[Tensor, Tensor | None]:
        """The weight with the detour in it."""
        return self.weight + self.change(), None

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """A like a linear layer's default in torch (Kaiming uniform, a = sqrt 5), B zero."""
        if name == "adapter_A":
            bound = 1 / math.sqrt(self.in_features)
            parameter.uniform_(-bound, bound, generator=generator)
        elif name == "adapter_B":
            parameter.zero_()
        return name in ("adapter_A", "adapter_B")


def low_rank(
    options: LowRankOptions, config: Config, layer: Callable[[nn.Linear, LowRankOptions], LowRankLinear]
) -> LinearAdapter:
    """The adapter that makes such a layer of every target."""
    return LinearAdapter(
        config, lambda linear, slot: is_target(options, linear, slot), lambda base, slot: layer(base, options),
        lambda name: options.b_rate if name.endswith("adapter_B") else 1.0,
    )


def check(options: LowRankOptions, config: Config) -> Iterator[Problem]:
    """Its targets must be there."""
    yield from check_targets(options, config)


def adapts(options: LowRankOptions, config: Config, layer: int, work: Work, operator: str = "") -> Work:
    """Everything frozen, and both thin matrices behind each layer that is adapted.

    `operator`: what the frozen product is in torch, where an adapter adds the bias by itself.
    """
    if not work.linears:
        return work
    linears: list[Linear] = []
    for linear in frozen(work).linears:
        if is_target(options, linear, work.slot):
            linears += [changed(linear, operator=operator or linear.operator), *beside(options, linear)]
        else:
            linears.append(linear)
    return changed(work, linears=tuple(linears))


def beside(options: LowRankOptions, linear: Linear) -> tuple[Linear, Linear]:
    """Both thin matrices beside a layer."""
    same = changed(linear, bias=False, beside=linear.name, trained=True, shared=False, operator="")
    narrow = changed(same, name=f"{linear.name} A", outputs=options.rank)
    wide = changed(same, name=f"{linear.name} B", inputs=options.rank, source=narrow.name)
    return narrow, wide


def params(options: LowRankOptions, config: Config) -> int:
    """r (m + n) per adapted layer."""
    thin = [x for work in block_parts(config) for x in adapts(options, config, 0, work).linears if x.beside]
    return config.model.layers * sum(linear.parameters for linear in thin)


def memory(tape: Tape, options: LowRankOptions, linear: Linear, x: Value) -> Value:
    """The layer, and what a detour beside it keeps: its input, and its narrow middle."""
    y = tape.plain_linear(linear, x)
    if not is_target(options, linear, tape.slot):
        return y
    return tape.add(y, detour_memory(tape, options, linear, x))


def detour_memory(tape: Tape, options: LowRankOptions, linear: Linear, x: Value) -> Value:
    """The memory of `LowRankLinear.detour`."""
    narrow, wide = beside(options, linear)
    return tape.plain_linear(wide, tape.scaled(tape.plain_linear(narrow, tape.dropout(x, options.dropout))))
