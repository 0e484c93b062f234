"""LoRA: the weights are frozen; a small product of two thin matrices beside each of them is trained.

What it is: a linear layer of n inputs and m outputs gets a detour through r numbers: A narrows (r × n), B widens
(m × r). A begins random (uniform within ±1/sqrt(n)), B at zero, so training begins exactly at the frozen model. The
idea behind it: what a trained model must change to learn something related is of low rank. Afterwards the product can
be merged into the weight, and the detour costs nothing any more.

Two later findings are options here. With alpha / r the detour learns more slowly the larger the rank is; alpha /
sqrt(r), "rank-stabilised", mends that. And A and B want different learning rates: LoRA+ lets B, which begins at zero,
run about 16 times as fast.

Formula: y = W₀ x + s · B A x, s = alpha / r or alpha / sqrt(r); dropout, where it is on, falls on the x of the detour.

What it costs: r · (m + n) parameters per adapted layer; only they have gradients and optimizer state. Frozen layers
skip their weight gradients, about a third of a step's FLOPs. Activations stay about as large as before, so where they
fill the memory LoRA saves little.

Choose it to adapt a trained model where gradients and optimizer state do not fit, or where many adapted versions of one
model are kept. Adapt all linear layers rather than only queries and values, and try a learning rate about ten times
that of full training: most differences between variants of LoRA are smaller than those between learning rates. Choose
full training where there is much to learn. On a model that begins random the loss says nothing.

Paper: Hu and others, "LoRA: Low-Rank Adaptation of Large Language Models" (2021), arXiv:2106.09685; Kalajdzievski,
"A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA" (2023), arXiv:2312.03732; Hayou and others, "LoRA+:
Efficient Low Rank Adaptation of Large Models" (2024), arXiv:2402.12354.
"""

from __future__ import annotations

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.adapter import Adapter
from tfx_engine.techniques.claims import BeginsAtBase, EveryGradient, Merges, Quiet, TrainsOnly
from tfx_engine.techniques.lowrank import (
    LowRankLinear,
    LowRankOptions,
    adapts,
    check,
    low_rank,
    memory,
    params,
)
from tfx_engine.techniques.technique import Technique, all_alike


def build(options: LowRankOptions, config: Config) -> Adapter:
    """The adapter for a model that is assembled from this configuration."""
    return low_rank(options, config, LowRankLinear)


def reference(layer: LowRankLinear, x: Tensor) -> Tensor:
    """One layer with the product written out (without dropout)."""
    weight_MN = layer.weight + layer.scale * (layer.adapter_B @ layer.adapter_A)
    y = x @ weight_MN.T
    return y if layer.bias is None else y + layer.bias


TECHNIQUE = Technique(
    module=__name__,
    slot="adapter",
    order=1,
    title="LoRA",
    short="LoRA",
    summary="The model is frozen; a product of two thin matrices beside each weight is trained.",
    paper="Hu et al. 2021, arXiv:2106.09685",
    guide=Guide(
        choose="a trained model is to be adapted and gradients or optimizer state do not fit.",
        avoid="you train from scratch, or there is much to learn: full training learns more.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=LowRankOptions,
    params=params,
    adapts=adapts,
    alike=all_alike,
    check=check,
    freezes=True,
    effects=(
        Effect(quantity="parameters", sign="+", formula="rank · (inputs + outputs) per adapted layer; others frozen"),
        Effect(quantity="gradients", sign="-", formula="only the adapters have gradients"),
        Effect(quantity="optimizer", sign="-", formula="only the adapters have optimizer state"),
        Effect(quantity="flops", sign="-", formula="no weight gradients of frozen layers: about a third less"),
        Effect(quantity="activations", sign="+", formula="rank numbers per token and adapted layer"),
    ),
    claims=(TrainsOnly("adapters"), EveryGradient(), BeginsAtBase(), Merges(), Quiet(when="dropout")),
)
