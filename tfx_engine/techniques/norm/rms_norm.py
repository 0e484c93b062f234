"""RMS norm: every token's vector is divided by its root mean square, then scaled by trained weights.

What it is: layer norm without the mean and without the bias. The observation behind it is that what helps training is
the fixed size of the output, not that its mean is zero. So only the size is taken out: the direction of the vector
stays, its length becomes sqrt(d).

Formula: y = x / sqrt(mean(x²) + ε) · g

With unit offset the weight is kept as its difference to 1, and y = x / sqrt(mean(x²) + ε) · (1 + g), g beginning at 0.
The function is the same. What changes is what weight decay, where it falls on g, and rounding to 16 bits do: both act
on the distance from 1 then. Gemma does it so.

ε is given explicitly. Torch's own class takes the smallest step of the number format where nothing is said (1.2e-7 in
float32), which no published model uses: Llama 2 and 3 have 1e-5, Llama 1, Qwen and Gemma 1e-6.

What it costs: d parameters per norm, half of layer norm's. One number per token, the reciprocal of the root, is kept
beside the input. Where torch has no fused kernel for it (on the CPU, for one) it is composed of several operations,
which keep up to 2 · d further numbers per token for the backward pass: then it is no cheaper than layer norm.

When to choose it: nearly every large language model since 2023 has it (Llama, Mistral, Qwen, Gemma, OLMo 2), and
nothing is known to be lost. When not: to repeat a model that has layer norm, or on a CPU where memory is short.

Paper: Zhang, Sennrich, "Root Mean Square Layer Normalization" (2019), arXiv:1910.07467. Unit offset: Gemma (2024),
arXiv:2403.08295.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import Normed
from tfx_engine.techniques.counts import norm_count
from tfx_engine.techniques.rms import rms_memory
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    epsilon: float = option(
        1e-6, kind="float", label="ε", low=1e-12, high=0.1,
        help="Added to the mean square before the root. Llama 2 and 3 use 1e-5, Gemma and Qwen 1e-6.",
    )
    unit_offset: bool = option(
        False, kind="bool", label="unit offset",
        help="Keep the weight as its difference to 1, as Gemma does.",
    )


class RMSNorm(nn.Module):
    """x_BTD -> x_BTD, in the dtype of the weight: autocast leaves this operation alone, and does not layer norm."""

    def __init__(self, width: int, eps: float, unit_offset: bool) -> None:
        super().__init__()
        self.eps, self.unit_offset = eps, unit_offset
        self.weight = nn.Parameter(torch.empty(width))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Norm and scale."""
        weight_D = 1 + self.weight if self.unit_offset else self.weight
        return F.rms_norm(x_BTD.to(weight_D.dtype), weight_D.shape, weight_D, self.eps)

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """A scale of 1."""
        parameter.fill_(0.0 if self.unit_offset else 1.0)
        return True


def build(options: Options, config: Config) -> nn.Module:
    """A norm over the model's width."""
    return RMSNorm(config.model.width, options.epsilon, options.unit_offset)


def reference(module: RMSNorm, x_BTD: Tensor) -> Tensor:
    """The formula, written out."""
    weight_D = 1 + module.weight if module.unit_offset else module.weight
    square_BT1 = (x_BTD * x_BTD).sum(dim=-1, keepdim=True) / x_BTD.shape[-1]
    return x_BTD / torch.sqrt(square_BT1 + module.eps) * weight_D


def memory(tape: Tape, options: Options, x: Value) -> Value:
    """Keeps its input and a number for each row; on the CPU the normed rows too."""
    width = tape.config.model.width
    return rms_memory(tape, tape.cast(x, tape.widths.weights), width, tape.parameter("weight", width))


TECHNIQUE = Technique(
    module=__name__,
    slot="norm",
    order=1,
    title="RMS norm",
    short="RMS norm",
    summary="Every token's vector is divided by its root mean square, then scaled.",
    paper="Zhang & Sennrich 2019, arXiv:1910.07467",
    guide=Guide(
        choose="you build a language model of today: Llama, Qwen, Mistral and Gemma have it.",
        avoid="you repeat a model with layer norm, or torch has no fused kernel for it where you train.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    params=lambda options, config: norm_count(config) * config.model.width,
    effects=(
        Effect(quantity="parameters", sign="-", formula="width per norm, half of layer norm's"),
        Effect(quantity="activations", sign="+", formula="per token: the input, 1/root; up to 2 · width more unfused"),
    ),
    claims=(Normed(),),
)
