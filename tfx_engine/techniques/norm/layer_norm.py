"""Layer norm: every token's vector is brought to mean 0 and variance 1, then scaled and shifted by trained weights.

What it is: mean and variance are taken over the d numbers of one token, so nothing depends on the batch or on other
tokens.

Formula: y = (x - mean) / sqrt(variance + ε) · g + b

What it costs: 2 · d parameters per norm. Mean and 1/deviation are kept for the backward pass, two numbers per token,
beside the input.

Paper: Ba, Kiros, Hinton, "Layer Normalization" (2016), arXiv:1607.06450.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.counts import norm_count
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    epsilon: float = option(
        1e-5, kind="float", label="ε", low=1e-12, high=0.1,
        help="Added to the variance before the root. GPT-2 uses 1e-5, BERT 1e-12, ViT 1e-6.",
    )


def build(options: Options, config: Config) -> nn.Module:
    """A norm over the model's width."""
    return nn.LayerNorm(config.model.width, eps=options.epsilon)


def reference(module: nn.LayerNorm, x_BTD: Tensor) -> Tensor:
    """The formula with mean and variance written out."""
    width = x_BTD.shape[-1]
    centred_BTD = x_BTD - x_BTD.sum(dim=-1, keepdim=True) / width
    variance_BT1 = (centred_BTD * centred_BTD).sum(dim=-1, keepdim=True) / width
    return centred_BTD / torch.sqrt(variance_BT1 + module.eps) * module.weight + module.bias


def params(options: Options, config: Config) -> int:
    """2 d per norm."""
    return norm_count(config) * 2 * config.model.width


TECHNIQUE = Technique(
    module=__name__,
    slot="norm",
    order=0,
    title="Layer norm",
    short="layer norm",
    summary="Every token's vector is brought to mean 0 and variance 1, then scaled and shifted.",
    paper="Ba, Kiros & Hinton 2016, arXiv:1607.06450",
    guide=Guide(
        choose="you want the norm of the original transformer, GPT-2 and BERT.",
        avoid="every operation counts: norms without a mean do about the same with less work.",
    ),
    build=build,
    reference=reference,
    options=Options,
    params=params,
    effects=(
        Effect(quantity="parameters", sign="+", formula="2 · width per norm"),
        Effect(quantity="activations", sign="+", formula="per token: the input, mean and 1/deviation"),
    ),
)
