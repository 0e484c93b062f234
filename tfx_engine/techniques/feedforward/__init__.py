"""Slot `feedforward`: a module (x_BTD) -> x_BTD that works on each token by itself; what the techniques share.

B batch, T tokens, D width of the model, F inner width.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.costs import STREAM, Linear, Work, bias_of
from tfx_engine.techniques.tape import Tape, Value

Bend = Callable[[Tensor], Tensor]  # number by number


@dataclasses.dataclass(frozen=True)
class PlainOptions:
    """What can be chosen for two linear layers."""

    width: int | None = option(
        None, kind="int", label="inner width", low=1, high=10_000_000, automatic="4 × width",
        help="Width between the two linear layers, f.",
    )
    bias: bool | None = option(
        None, kind="bool", label="biases", automatic="as the model's biases",
        help="Biases in both linear layers.",
    )

    def inner(self, config: Config) -> int:
        """f."""
        return self.width or 4 * config.model.width


@dataclasses.dataclass(frozen=True)
class GatedOptions:
    """What can be chosen for three."""

    width: int | None = option(
        None, kind="int", label="inner width", low=1, high=10_000_000, automatic="8/3 × width, rounded up",
        help="Width between the linear layers, f. 8/3 × width has as many weights as 4 × width without a gate.",
    )
    multiple: int = option(
        8, kind="int", label="rounded to", low=1, high=4096,
        help="The automatic inner width is rounded up to a multiple of this. Llama 2 has 256.",
    )
    bias: bool | None = option(
        None, kind="bool", label="biases", automatic="as the model's biases",
        help="Biases in all three linear layers. Published models have none.",
    )

    def inner(self, config: Config) -> int:
        """f."""
        return self.width or rounded_up(8 * config.model.width // 3, self.multiple)


def rounded_up(number: int, multiple: int) -> int:
    """The next multiple that is not smaller."""
    return -(-number // multiple) * multiple


class TwoLayers(nn.Module):
    """x_BTD -> x_BTD: widen, bend, narrow."""

    def __init__(self, width: int, inner: int, bias: bool, bend: Bend) -> None:
        super().__init__()
        self.bend = bend
        self.up = nn.Linear(width, inner, bias)
        self.down = nn.Linear(inner, width, bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Of each token by itself; any number of dimensions before the last."""
        return self.down(self.bend(self.up(x_BTD)))


class GatedLayers(nn.Module):
    """x_BTD -> x_BTD: widen twice, one of them bent and a gate for the other, narrow."""

    def __init__(self, width: int, inner: int, bias: bool, bend: Bend) -> None:
        super().__init__()
        self.bend = bend
        self.gate = nn.Linear(width, inner, bias)
        self.up = nn.Linear(width, inner, bias)
        self.down = nn.Linear(inner, width, bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Of each token by itself; any number of dimensions before the last."""
        return self.down(self.bend(self.gate(x_BTD)) * self.up(x_BTD))


def two_layers(options: PlainOptions, config: Config, bend: Bend) -> nn.Module:
    """Two layers of the model's width."""
    return TwoLayers(config.model.width, options.inner(config), bias_of(options.bias, config), bend)


def gated_layers(options: GatedOptions, config: Config, bend: Bend) -> nn.Module:
    """Three layers of the model's width."""
    return GatedLayers(config.model.width, options.inner(config), bias_of(options.bias, config), bend)


def two_work(options: PlainOptions, config: Config) -> Work:
    """Two linear layers."""
    return Work(linears(config.model.width, options.inner(config), bias_of(options.bias, config), gated=False))


def gated_work(options: GatedOptions, config: Config) -> Work:
    """Three linear layers."""
    return Work(linears(config.model.width, options.inner(config), bias_of(options.bias, config), gated=True))


def linears(
    width: int, inner: int, bias: bool, gated: bool, prefix: str = "", copies: int = 1, active: int = 1,
    flat: bool = False,
) -> tuple[Linear, ...]:
    """The layers of `TwoLayers` or `GatedLayers`, in the order in which they run; `flat`: they read a matrix."""

    def layer(name: str, inputs: int, outputs: int, source: str) -> Linear:
        operator = "addmm" if flat and bias else ""
        return Linear(prefix + name, inputs, outputs, bias, source, copies, active, operator=operator)

    wide = [layer(name, width, inner, STREAM) for name in (("gate", "up") if gated else ("up",))]
    return (*wide, layer("down", inner, width, f"{prefix}up"))


def written_gelu(z: Tensor, approximate: str) -> Tensor:
    """GELU by its formula."""
    if approximate == "tanh":
        return z * 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))
    return z * 0.5 * (1 + torch.erf(z / math.sqrt(2)))


def exact_gelu(z: Tensor) -> Tensor:
    """The exact one."""
    return F.gelu(z)


def tanh_gelu(z: Tensor) -> Tensor:
    """The approximation of GPT-2."""
    return F.gelu(z, approximate="tanh")


GELUS: dict[str, Bend] = {"none": exact_gelu, "tanh": tanh_gelu}


def two_memory(tape: Tape, x: Value, bent: Callable[[Value], Value], prefix: str = "") -> Value:
    """The memory of `TwoLayers`: `bent` is that of the curve."""
    return tape.linear(f"{prefix}down", bent(tape.linear(f"{prefix}up", x)))


def gated_memory(tape: Tape, x: Value, bent: Callable[[Value], Value], prefix: str = "") -> Value:
    """The memory of `GatedLayers`: gate, its curve, the other branch and their product are kept."""
    gate = bent(tape.linear(f"{prefix}gate", x))
    return tape.linear(f"{prefix}down", tape.times(gate, tape.linear(f"{prefix}up", x)))
