"""Layer norm: every token's vector is brought to mean 0 and variance 1, then scaled and shifted by trained weights.

What it is: mean and variance are taken over the d numbers of one token, so nothing depends on the batch, on the length
of the text or on other tokens: it works the same in training and in use, for one sample or a thousand. Whatever the
size of its input, the output has a known size, and so have the gradients of what follows. The trained weight g then
gives each of the d numbers a scale of its own, and the bias b an offset.

The norm forgets two things about a vector: its mean and its length. That is the point, and it is also why the weights
before a norm can grow without changing what the model computes.

Formula: y = (x - mean) / sqrt(variance + ε) · g + b

The variance is the mean of the squares, over d and not over d - 1. ε keeps the division away from zero: it matters
where a vector is nearly constant, and in low precision.

What it costs: 2 · d parameters per norm, d without the bias. Mean and 1/deviation are kept for the backward pass, two
numbers per token, beside the input. It is bound by memory traffic, not by arithmetic: it reads and writes the vector
for a handful of operations per number.

When to choose it: it is the norm of the original transformer, of BERT, GPT-2, OPT, BLOOM and ViT, and what a repetition
of them needs. MPT and Cohere leave out the bias, which changes little. Where you design a new model, RMS norm does
about the same with less work.

Paper: Ba, Kiros, Hinton, "Layer Normalization" (2016), arXiv:1607.06450.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import Normed
from tfx_engine.techniques.counts import norm_count
from tfx_engine.techniques.tape import FLOAT, Tape, Value
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    epsilon: float = option(
        1e-5, kind="float", label="ε", low=1e-12, high=0.1,
        help="Added to the variance before the root. GPT-2 uses 1e-5, BERT 1e-12, ViT 1e-6.",
    )
    bias: bool = option(
        True, kind="bool", label="bias", help="Shift every number by a trained offset. MPT and Cohere have none.",
    )


def build(options: Options, config: Config) -> nn.Module:
    """A norm over the model's width."""
    return nn.LayerNorm(config.model.width, eps=options.epsilon, bias=options.bias)


def reference(module: nn.LayerNorm, x_BTD: Tensor) -> Tensor:
    """The formula with mean and variance written out."""
    width = x_BTD.shape[-1]
    centred_BTD = x_BTD - x_BTD.sum(dim=-1, keepdim=True) / width
    variance_BT1 = (centred_BTD * centred_BTD).sum(dim=-1, keepdim=True) / width
    y_BTD = centred_BTD / torch.sqrt(variance_BT1 + module.eps) * module.weight
    return y_BTD if module.bias is None else y_BTD + module.bias


def params(options: Options, config: Config) -> int:
    """2 d per norm, d without the bias."""
    return norm_count(config) * (1 + int(options.bias)) * config.model.width


def memory(tape: Tape, options: Options, x: Value) -> Value:
    """Keeps its input, and mean and deviation of each row."""
    width = tape.config.model.width
    weights = tape.parameter("weight", width) + (tape.parameter("bias", width) if options.bias else ())
    return tape.make(x, saves=(x,), extra=2 * FLOAT * (x.numbers // width), weights=weights)


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
    memory=memory,
    options=Options,
    params=params,
    effects=(
        Effect(quantity="parameters", sign="+", formula="2 · width per norm (width without bias)"),
        Effect(quantity="activations", sign="+", formula="per token: the input, mean and 1/deviation"),
    ),
    claims=(Normed(centred=True),),
)
