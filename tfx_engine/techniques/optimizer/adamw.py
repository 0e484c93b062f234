"""AdamW: steps scaled by the running size of each weight's gradients, with decoupled weight decay.

What it is: a running mean m of the gradient and a running mean v of its square; each weight moves by m / sqrt(v). So
every weight moves at about the learning rate, whatever the size of its gradients: where gradients agree from step to
step the ratio is near one, where they only scatter it is near zero. Weight decay shrinks the weights directly instead
of passing through these means. It falls on matrices only; biases and norms do not decay.

Formula, at step t:
    m = β₁ m + (1 - β₁) g        v = β₂ v + (1 - β₂) g²
    W ← W - η λ W - η · (m / (1 - β₁ᵗ)) / (sqrt(v / (1 - β₂ᵗ)) + ε)

What it costs: two float32 numbers per trained weight, 8 bytes, as much again as weights and gradients together. The
update reads and writes all of it once a step, which is little beside the matrix products of a large batch and much
beside those of a small one. Three implementations give the same numbers up to rounding: fused is one kernel and needs
no temporary, foreach is a handful of kernels for all tensors together and needs temporaries of the size of the model, a
loop does one tensor after the other. `auto` takes the fused one where torch has it for the device.

When to choose it: for transformers it is the standard, and it forgives much: one learning rate fits embeddings, norms
and matrices. β₂ = 0.95 is usual for language models, 0.999 for small batches. When not: when the optimizer's state is
what fills the memory (8-bit states take a quarter of it, Adafactor and SGD less still), or when Muon's fewer steps are
worth its matrix products.

Paper: Kingma, Ba, "Adam" (2014), arXiv:1412.6980; Loshchilov, Hutter, "Decoupled Weight Decay Regularization" (2017),
arXiv:1711.05101.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import MovesAll
from tfx_engine.techniques.optimizer import (
    Named,
    Rate,
    decay_groups,
    fused_where_possible,
    largest,
    same_rate,
)
from tfx_engine.techniques.tape import FLOAT, Weight
from tfx_engine.techniques.technique import Technique

_IMPLEMENTATIONS = {  # what torch is told: of two that exclude each other at most one is true
    "fused": {"fused": True},
    "foreach": {"foreach": True},
    "loop": {"foreach": False, "fused": False},
}


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    learning_rate: float = option(
        1e-3, kind="float", label="learning rate", low=0.0, high=10.0,
        help="Size of a step, η: about how far every weight moves. Small models take 1e-3, large ones 1e-4.",
    )
    beta1: float = option(
        0.9, kind="float", label="β₁", low=0.0, high=0.9999, help="How slowly the mean of the gradients follows them."
    )
    beta2: float = option(
        0.95, kind="float", label="β₂", low=0.0, high=0.999999,
        help="How slowly the mean of their squares follows them.",
    )
    epsilon: float = option(
        1e-8, kind="float", label="ε", low=1e-16, high=1.0, help="Keeps the division away from zero."
    )
    weight_decay: float = option(
        0.1, kind="float", label="weight decay", low=0.0, high=10.0,
        help="Share of a matrix, times the learning rate, that goes at every step, λ.",
    )
    implementation: str = option(
        "auto", kind="choice", label="implementation", choices=("auto", *_IMPLEMENTATIONS),
        help="Which of torch's kernels does the update; auto takes the fused one where the device has it.",
    )


def build(options: Options, named: Named, rate: Rate = same_rate) -> torch.optim.Optimizer:
    """The optimiser over the trainable ones of these parameters."""
    groups = decay_groups(named, options.learning_rate, options.weight_decay, rate)
    name = options.implementation
    if name == "auto":
        name = "fused" if fused_where_possible(groups) else "foreach"
    optimizer = torch.optim.AdamW(
        groups, lr=options.learning_rate, betas=(options.beta1, options.beta2), eps=options.epsilon,
        **_IMPLEMENTATIONS[name],
    )
    optimizer.implementation = f"AdamW ({name})"
    return optimizer


def reference(options: Options, weight: Tensor, gradients: Sequence[Tensor]) -> Tensor:
    """The weight after these gradients, by the formula."""
    decay = options.weight_decay if weight.dim() >= 2 else 0.0
    m, v = torch.zeros_like(weight), torch.zeros_like(weight)
    for t, g in enumerate(gradients, start=1):
        m = options.beta1 * m + (1 - options.beta1) * g
        v = options.beta2 * v + (1 - options.beta2) * g * g
        direction = (m / (1 - options.beta1**t)) / ((v / (1 - options.beta2**t)).sqrt() + options.epsilon)
        weight = weight - options.learning_rate * (decay * weight + direction)
    return weight


def memory(options: Options, weights: Sequence[Weight]) -> tuple[int, int]:
    """Two moments and a counter for each parameter; `foreach` works on all of them at once."""
    numbers = sum(w.numbers * w.width for w in weights)
    counters = FLOAT * len(weights)
    return 2 * numbers + counters, {"foreach": numbers, "loop": 2 * largest(weights)}.get(options.implementation, 0)


TECHNIQUE = Technique(
    module=__name__,
    slot="optimizer",
    order=0,
    title="AdamW",
    short="AdamW",
    summary="Steps scaled by the running size of each weight's gradients, with decoupled weight decay.",
    paper="Loshchilov & Hutter 2017, arXiv:1711.05101",
    guide=Guide(
        choose="you train a transformer: it is the standard and forgives much.",
        avoid="optimizer state is what fills the memory: it keeps two numbers per weight.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    effects=(Effect(quantity="optimizer", sign="+", formula="8 bytes per trained weight"),),
    claims=(MovesAll(),),
)
