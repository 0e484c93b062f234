"""Adafactor: Adam's scaling by gradient size, with a row and a column remembered in place of the whole matrix.

What it is: no running mean of the gradients, and of their squares only the means over each row and each column of a
matrix. From these two the square of any entry is estimated as row mean · column mean / mean of the row means. Vectors
keep their squares in full. The step is measured against the weights: its size is a share of their own root mean square,
so a matrix of small numbers takes small steps. A step whose entries are larger than usual is made shorter as a whole.

Formula, at step t, for a matrix with rows i and columns j; RMS is the root of the mean square:
    b = t^c        R ← (1 - b) R + b · mean_j(g²)        C ← (1 - b) C + b · mean_i(g²)
    U = g / sqrt(R C / mean(R))        α = max(ε₂, RMS(W)) · min(η, 1 / sqrt(t))
    W ← W - η λ W - α · U / max(1, RMS(U) / d)

What it costs: rows + columns numbers instead of twice rows · columns; for a large matrix next to nothing. Vectors keep
one number each. Time: some more operations than AdamW and no fused kernel; on a CPU each tensor's norms are waited for.

What is different in use: without momentum single noisy batches show in the steps; the learning rate is relative to the
weights and at most 1 / sqrt(t), so 1e-2 is a usual value and large ones mean less and less as the run goes on.

When to choose it: if memory is the limit and 8-bit states are still too many, as for T5, which was trained with it.
When not: if there is room for AdamW, which most recipes are tuned for. Torch's own implementation is used; it is the
paper's algorithm, not the one with momentum that some libraries call by this name.

Paper: Shazeer, Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost" (2018), arXiv:1804.04235.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import MovesAll
from tfx_engine.techniques.optimizer import Named, Rate, decay_groups, largest, same_rate
from tfx_engine.techniques.tape import FLOAT, Weight
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    learning_rate: float = option(
        1e-2, kind="float", label="learning rate", low=0.0, high=10.0,
        help="Size of a step relative to the weights, η; at step t never more than 1 / sqrt(t).",
    )
    decay_power: float = option(
        -0.8, kind="float", label="c", low=-10.0, high=0.0,
        help="The newest squares count with the weight t to this power: 0 remembers nothing, -1 the mean of all steps.",
    )
    threshold: float = option(
        1.0, kind="float", label="d", low=1.0, high=1e6,
        help="Root mean square beyond which a step is made shorter as a whole.",
    )
    least_scale: float = option(
        1e-3, kind="float", label="ε₂", low=0.0, high=1.0,
        help="Root mean square that weights are taken to have at least: what lets zeros begin to move.",
    )
    weight_decay: float = option(
        0.0, kind="float", label="weight decay", low=0.0, high=10.0,
        help="Share of a matrix, times the learning rate, that goes at every step, λ.",
    )


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Torch must have it."""
    if not hasattr(torch.optim, "Adafactor"):
        yield Problem(
            code="unavailable", path="techniques.optimizer.use",
            template="needs a newer torch: this one has no Adafactor.",
            hint_template='Update torch, or use "adamw_8bit".',
        )


def build(options: Options, named: Named, rate: Rate = same_rate) -> torch.optim.Optimizer:
    """Torch's optimiser over the trainable ones of these parameters."""
    groups = decay_groups(named, options.learning_rate, options.weight_decay, rate)
    return torch.optim.Adafactor(
        groups, lr=options.learning_rate, beta2_decay=options.decay_power, d=options.threshold,
        eps=(None, options.least_scale),
    )


def reference(options: Options, weight: Tensor, gradients: Sequence[Tensor]) -> Tensor:
    """The weight after these gradients, by the formula; the tiny floors that torch has against 0 / 0 are left out."""
    decay = options.weight_decay if weight.dim() >= 2 else 0.0
    rows = columns = squares = torch.zeros(())
    for t, g in enumerate(gradients, start=1):
        b = t**options.decay_power
        rate = max(options.least_scale, weight.square().mean().sqrt().item()) * min(options.learning_rate, t**-0.5)
        weight = weight - options.learning_rate * decay * weight
        if weight.dim() >= 2:
            rows = (1 - b) * rows + b * g.square().mean(dim=-1, keepdim=True)
            columns = (1 - b) * columns + b * g.square().mean(dim=-2, keepdim=True)
            estimate = rows * columns / rows.mean(dim=-2, keepdim=True)
        else:
            estimate = squares = (1 - b) * squares + b * g.square()
        step = g / estimate.sqrt()
        weight = weight - rate * step / max(1.0, step.square().mean().sqrt().item() / options.threshold)
    return weight


def memory(options: Options, weights: Sequence[Weight]) -> tuple[int, int]:
    """A number for each row and each column of a matrix, one for each number of a vector; one at a time."""
    state = sum(FLOAT * (sum(w.shape) if len(w.shape) > 1 else w.numbers) + FLOAT for w in weights)
    return state, 2 * largest(weights)


TECHNIQUE = Technique(
    module=__name__,
    slot="optimizer",
    order=4,
    title="Adafactor",
    short="Adafactor",
    summary="Adam's scaling by gradient size, with a row and a column remembered in place of the whole matrix.",
    paper="Shazeer & Stern 2018, arXiv:1804.04235",
    guide=Guide(
        choose="optimizer state must nearly vanish and the rest of the recipe can be tuned for it.",
        avoid="there is room for AdamW, which most recipes are made for.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    effects=(
        Effect(quantity="optimizer", sign="-", formula="4 bytes per row and column of a matrix, and per vector entry"),
    ),
    claims=(MovesAll(),),
)
