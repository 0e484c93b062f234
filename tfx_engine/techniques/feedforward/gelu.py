"""GELU feed-forward: widen, bend, narrow, for each token by itself.

What it is: a linear layer to a larger width f, the smooth gate GELU, and a linear layer back. It holds about two
thirds of a block's weights.

Formula: y = W₂ · gelu(W₁ x), gelu(z) = z · Φ(z), Φ the normal distribution's. "tanh" is the approximation that GPT-2
used: z / 2 · (1 + tanh(sqrt(2 / π) · (z + 0.044715 z³))).

What it costs, per block: 2 · d · f parameters (and f + d biases), 4 · d · f FLOPs per token, and 2 · f kept activations
per token, before and after the bend.

Paper: Hendrycks, Gimpel, "Gaussian Error Linear Units" (2016), arXiv:1606.08415.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.costs import Linear, Work, bias_of
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    width: int | None = option(
        None, kind="int", label="inner width", low=1, high=10_000_000, automatic="4 × width",
        help="Width between the two linear layers, f.",
    )
    bias: bool | None = option(
        None, kind="bool", label="biases", automatic="as the model's biases",
        help="Biases in both linear layers.",
    )
    approximate: str = option(
        "none", kind="choice", label="approximation", choices=("none", "tanh"),
        help="none: the exact error function. tanh: the approximation of GPT-2.",
    )


class GeluFeedForward(nn.Module):
    """x_BTD -> x_BTD through an inner width F."""

    def __init__(self, width: int, inner: int, bias: bool, approximate: str) -> None:
        super().__init__()
        self.approximate = approximate
        self.up = nn.Linear(width, inner, bias)
        self.down = nn.Linear(inner, width, bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """Widen, bend, narrow."""
        return self.down(F.gelu(self.up(x_BTD), approximate=self.approximate))


def build(options: Options, config: Config) -> nn.Module:
    """A feed-forward of the model's width."""
    inner, bias = _inner_width(options, config), bias_of(options.bias, config)
    return GeluFeedForward(config.model.width, inner, bias, options.approximate)


def _inner_width(options: Options, config: Config) -> int:
    return options.width or 4 * config.model.width


def reference(module: GeluFeedForward, x_BTD: Tensor) -> Tensor:
    """The formula, written out."""
    z_BTF = module.up(x_BTD)
    if module.approximate == "tanh":
        gate_BTF = 0.5 * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z_BTF + 0.044715 * z_BTF**3)))
    else:
        gate_BTF = 0.5 * (1 + torch.erf(z_BTF / math.sqrt(2)))
    return module.down(z_BTF * gate_BTF)


def work(options: Options, config: Config) -> Work:
    """Two linear layers."""
    d, inner, bias = config.model.width, _inner_width(options, config), bias_of(options.bias, config)
    return Work((Linear("up", d, inner, bias), Linear("down", inner, d, bias, source="up")))


TECHNIQUE = Technique(
    module=__name__,
    slot="feedforward",
    order=0,
    title="GELU feed-forward",
    short="GELU",
    summary="Two linear layers with a smooth gate between them, for each token by itself.",
    paper="Hendrycks & Gimpel 2016, arXiv:1606.08415",
    guide=Guide(
        choose="you want the feed-forward of GPT-2, BERT and ViT.",
        avoid="parameters are dear: gated feed-forwards are reported to use the same number better.",
    ),
    build=build,
    reference=reference,
    options=Options,
    work=work,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × (2 · width · inner width + biases)"),
        Effect(quantity="flops", sign="+", formula="per token and layer: 4 · width · inner width"),
        Effect(quantity="activations", sign="+", formula="per token and layer: 2 · inner width, 4 bytes each"),
    ),
)
