"""DoRA: LoRA turns each row of a weight; how long the row is, is trained by itself.

What it is: every row of a weight is a direction times a length. In full training both change, and not in step; LoRA
couples them. DoRA writes the weight as a trained length g for each of the m outputs times a direction, which is the
frozen weight plus LoRA's product, divided by its norm. The lengths begin at the norms of the frozen rows and the
product at zero, so training begins exactly at the frozen model. In the backward pass the norm counts as a constant, as
the paper proposes: it saves memory and hardly changes the gradients. Afterwards lengths and product are merged into the
weight.

Formula: y = g ⊙ (W₀ + s · B A) x / ‖W₀ + s · B A‖ + b, the norm taken over each row, s = alpha / r

What it costs: m parameters more than LoRA per adapted layer, r · (m + n) + m in all. The norm needs the whole product B
A once per step and layer, r · m · n multiply-adds and a matrix of the weight's size, whatever the batch is; so a step
on few tokens becomes much slower than LoRA's. The FLOPs per token that are shown have this product's share in them, so
they fall with the number of tokens that go through the model at once.

Choose it where LoRA of a small rank falls short of full training: the paper reports gains above all there. Rather not
where a step's time counts, or before LoRA's learning rate was tried at several values: that often matters more.

Paper: Liu and others, "DoRA: Weight-Decomposed Low-Rank Adaptation" (2024), arXiv:2402.09353.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.adapter import Adapter
from tfx_engine.techniques.adapting import frozen, is_target
from tfx_engine.techniques.claims import BeginsAtBase, EveryGradient, Merges, Quiet, TrainsOnly
from tfx_engine.techniques.costs import Linear, Work, changed
from tfx_engine.techniques.counts import block_parts
from tfx_engine.techniques.lowrank import (
    LowRankLinear,
    LowRankOptions,
    beside,
    check,
    detour_memory,
    low_rank,
)
from tfx_engine.techniques.lowrank import params as thin_params
from tfx_engine.techniques.ranges import doing
from tfx_engine.techniques.tape import Tape, Value, Weight
from tfx_engine.techniques.technique import Technique, all_alike

# N inputs, M outputs


class DoraLinear(LowRankLinear):
    """`adapter_magnitude` [M] times the direction of each row of W + scale · B A."""

    def __init__(self, base: nn.Linear, options: LowRankOptions) -> None:
        super().__init__(base, options)
        self.adapter_magnitude = self.added(self.out_features)

    def forward(self, x: Tensor) -> Tensor:
        """[..., N] -> [..., M]."""
        if self.is_merged:
            return F.linear(x, self.weight, self.bias)
        y = (F.linear(x, self.weight) + self.detour(x)) * self._stretch()
        return y if self.bias is None else y + self.bias

    def _stretch(self) -> Tensor:
        """[M]: the trained length of each row over the length that it has."""
        with doing("adapter"), torch.no_grad():
            norm_M = (self.weight + self.change()).norm(dim=1)
        return self.adapter_magnitude / norm_M

    def merged(self) -> tuple[Tensor, Tensor | None]:
        """The direction times the length."""
        return self._stretch()[:, None] * (self.weight + self.change()), None

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """The lengths are those of the rows as they are."""
        if name == "adapter_magnitude":
            parameter.copy_(self.weight.norm(dim=1))
            return True
        return super().initialise_parameter(name, parameter, generator)


def build(options: LowRankOptions, config: Config) -> Adapter:
    """The adapter for a model that is assembled from this configuration."""
    return low_rank(options, config, DoraLinear)


def reference(layer: DoraLinear, x: Tensor) -> Tensor:
    """Row by row; the norm is a constant."""
    weight_MN = layer.weight + layer.scale * (layer.adapter_B @ layer.adapter_A)
    columns = []
    for m in range(layer.out_features):
        length = (weight_MN[m] * weight_MN[m]).sum().sqrt().detach()
        column = (x * weight_MN[m]).sum(dim=-1) * layer.adapter_magnitude[m] / length
        columns.append(column if layer.bias is None else column + layer.bias[m])
    return torch.stack(columns, dim=-1)


def lengthened(options: LowRankOptions, config: Config, layer: int, work: Work) -> Work:
    """As with LoRA, but the sum is scaled by what is trained, over a norm for which B A is multiplied out."""
    linears: list[Linear] = []
    for linear in frozen(work).linears:
        if not is_target(options, linear, work.slot):
            linears.append(linear)
            continue
        narrow, wide = beside(options, linear)
        norm = linear.copies * linear.outputs * options.rank * linear.inputs
        linears += [
            changed(linear, tuned=True, operator="mm"), narrow,
            changed(wide, scaled=True, once=norm),
        ]
    return changed(work, linears=tuple(linears))


def params(options: LowRankOptions, config: Config) -> int:
    """r (m + n) + m per adapted layer."""
    lengths = sum(
        linear.copies * linear.outputs
        for work in block_parts(config) for linear in work.linears if is_target(options, linear, work.slot)
    )
    return thin_params(options, config) + config.model.layers * lengths


def memory(tape: Tape, options: LowRankOptions, linear: Linear, x: Value) -> Value:
    """As LoRA; beside it the sum before it is stretched is kept, and weights are added up to find their lengths."""
    if not is_target(options, linear, tape.slot):
        return tape.plain_linear(linear, x)
    y = tape.add(tape.plain_linear(linear, x, bias=False), detour_memory(tape, options, linear, x))
    width = tape.widths.weights
    stretch = (Weight((tape.slot, tape.layer, linear.name, "stretch"), (linear.outputs,), width, True),)
    y = tape.make(y, width=max(y.width, width), saves=(y,), weights=stretch, scratch=2 * width * linear.weights,
                  back=y.bytes)
    return tape.make(y, passes=1) if linear.bias else y


TECHNIQUE = Technique(
    module=__name__,
    slot="adapter",
    order=2,
    title="DoRA",
    short="DoRA",
    summary="LoRA turns each row of a weight; the row's length is trained by itself.",
    paper="Liu et al. 2024, arXiv:2402.09353",
    guide=Guide(
        choose="LoRA of a small rank falls short of full training.",
        avoid="a step's time counts: the norms cost a product of the weight's size at every step.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=LowRankOptions,
    check=check,
    params=params,
    adapts=lengthened,
    alike=all_alike,
    freezes=True,
    effects=(
        Effect(
            quantity="parameters", sign="+",
            formula="rank · (inputs + outputs) + outputs per adapted layer; others frozen",
        ),
        Effect(quantity="gradients", sign="-", formula="only the adapters have gradients"),
        Effect(quantity="optimizer", sign="-", formula="only the adapters have optimizer state"),
        Effect(quantity="time", sign="+", formula="rank · inputs · outputs multiply-adds per step and adapted layer"),
    ),
    claims=(TrainsOnly("adapters"), EveryGradient(), BeginsAtBase(), Merges(), Quiet(when="dropout")),
)
