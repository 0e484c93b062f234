"""Dynamic tanh: no norm at all, but a tanh with a trained slope in its place.

What it is: plotted number by number, what a trained layer norm does to its input looks like an S-shaped curve: small
numbers pass in proportion, extreme ones are squashed. Dynamic tanh (DyT) does that directly. One trained number α per
norm sets where the bend is; weight and bias are as in layer norm. Nothing is computed over the vector: every number is
treated by itself, so there is no reduction and no statistics.

Formula: y = g · tanh(α · x) + b

α begins at α₀. The paper takes 0.5 for most models. For large language models it finds that wider ones want smaller
values, and larger ones before attention than elsewhere; here one α₀ serves every place.

What it costs: 2 · d + 1 parameters per norm. The output of the tanh is kept beside the input, 2 · d numbers per token.
Its speed depends on kernels: unfused, it is three passes over the vector where a fused norm needs one.

When to choose it: to ask whether a norm is needed at all, or where a reduction over the width is dear. When not: as a
default. It does not bring a vector that is too large back to scale, it cuts it off, and where it saturates no gradient
comes through; the trouble that a norm silently heals becomes yours. After a residual sum (post-norm, DeepNorm) the
stream can then only lie between the two bounds. A later study (2026, arXiv:2604.23434) reports that the outcome depends
on how much data there is for the size of the model: an advantage with little data, a clear loss with more. So compare
it with a norm on your own sizes before you believe in either.

Paper: Zhu, Chen, He, LeCun, Liu, "Transformers without Normalization" (2025), arXiv:2503.10622.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.counts import norm_count
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    alpha0: float = option(
        0.5, kind="float", label="α₀", low=0.001, high=10.0,
        help="Slope at the beginning. Wide language models want it smaller.",
    )


class DynamicTanh(nn.Module):
    """x_BTD -> x_BTD, every number by itself."""

    def __init__(self, width: int, alpha0: float) -> None:
        super().__init__()
        self.alpha0 = alpha0
        self.alpha = nn.Parameter(torch.empty(1))
        self.weight = nn.Parameter(torch.empty(width))
        self.bias = nn.Parameter(torch.empty(width))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Bend, scale, shift."""
        return torch.addcmul(self.bias, self.weight, torch.tanh(self.alpha * x_BTD))

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """α as the option says; weight 1 and bias 0 wherever the model's other weights begin."""
        parameter.fill_({"alpha": self.alpha0, "weight": 1.0, "bias": 0.0}[name])
        return True


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Warn where the stream itself is bent."""
    if config.use("placement") in ("post_norm", "deep_norm"):
        yield Problem(
            code="cuts-the-stream", path="techniques.norm.use", level="warning",
            template="stands after the residual sum with {placement!r}: the stream is cut off at its bounds in every "
                     "block, and no norm brings it back.",
            hint_template="Choose 'pre_norm' in placement, or 'layer_norm' here.",
            args={"placement": config.use("placement")},
        )


def build(options: Options, config: Config) -> nn.Module:
    """One for the model's width."""
    return DynamicTanh(config.model.width, options.alpha0)


def reference(module: DynamicTanh, x_BTD: Tensor) -> Tensor:
    """The formula with the tanh written out, and number by number over the width."""
    columns = []
    for i in range(x_BTD.shape[-1]):
        z_BT = 2 * module.alpha * x_BTD[..., i]
        columns.append(module.weight[i] * (2 * torch.sigmoid(z_BT) - 1) + module.bias[i])
    return torch.stack(columns, dim=-1)


def memory(tape: Tape, options: Options, x: Value) -> Value:
    """Keeps its input and the curve's result."""
    width = tape.config.model.width
    bent = tape.bent(tape.by_weight(x, tape.parameter("alpha", 1)), of_result=True)
    weights = tape.parameter("weight", width) + tape.parameter("bias", width)
    return tape.make(bent, saves=(bent,) if weights else (), weights=weights, back=x.bytes)


TECHNIQUE = Technique(
    module=__name__,
    slot="norm",
    order=2,
    title="Dynamic tanh",
    short="dynamic tanh",
    summary="No norm: every number passes a tanh whose slope is trained.",
    paper="Zhu et al. 2025, arXiv:2503.10622",
    guide=Guide(
        choose="you want to see what a model does without any norm.",
        avoid="you want training that is safe: a norm heals what a tanh only cuts off.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    params=lambda options, config: norm_count(config) * (2 * config.model.width + 1),
    effects=(
        Effect(quantity="parameters", sign="+", formula="2 · width + 1 per norm"),
        Effect(quantity="activations", sign="+", formula="per token: the input and the tanh, 2 · width"),
    ),
)
