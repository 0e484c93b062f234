"""SGD: a step against the gradient, with momentum.

What it is: a running sum u of the gradients, and a step against it. Directions in which the gradients agree add up, to
1 / (1 - μ) times a single one in the end; directions in which they swing cancel out. All weights share one learning
rate, whatever the size of their gradients. Weight decay is added to the gradient of matrices; biases and norms do not
decay. Nesterov's form looks one step of momentum ahead before it follows the gradient.

Formula:
    g ← g + λ W        u ← μ u + g        W ← W - η u
    with Nesterov: W ← W - η (g + μ u)

What it costs: one float32 number per trained weight with momentum, 4 bytes; none without. The update itself is the
cheapest there is.

Why transformers want something else: the sizes of their gradients differ by orders of magnitude from layer to layer
and, in the embedding, from frequent tokens to rare ones. One rate that is right for the largest leaves the others
nearly where they are. An adaptive optimizer gives each weight a rate of its own; here one sees what happens without.

When to choose it: to save the last byte of optimizer state (momentum 0 keeps none), to check gradients by hand, since a
step is the gradient itself, or to see why Adam is the standard. It needs rates ten to a hundred times as large as
Adam's, and breaks down suddenly when they are too large: rising steps and clipping by norm help. When not: to train a
transformer well within a given number of steps.

Paper: Robbins, Monro, "A Stochastic Approximation Method" (1951); Sutskever and others, "On the importance of
initialization and momentum in deep learning" (2013); on transformers: Zhang and others, "Why are Adaptive Methods Good
for Attention Models?" (2019), arXiv:1912.03194.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import MovesAll
from tfx_engine.techniques.optimizer import Named, Rate, decay_groups, fused_where_possible, same_rate
from tfx_engine.techniques.tape import Weight
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    learning_rate: float = option(
        0.1, kind="float", label="learning rate", low=0.0, high=100.0, help="Size of a step, η, per unit of gradient."
    )
    momentum: float = option(
        0.9, kind="float", label="momentum", low=0.0, high=0.9999, help="Share of the last step that is kept, μ."
    )
    nesterov: bool = option(
        False, kind="bool", label="Nesterov", help="Look one step of momentum ahead before the gradient is followed."
    )
    weight_decay: float = option(
        0.0, kind="float", label="weight decay", low=0.0, high=10.0,
        help="Share of a matrix that is added to its gradient, λ.",
    )


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Nesterov's step is a step of momentum."""
    if options.nesterov and options.momentum == 0:
        yield Problem(
            code="does-not-fit", path="techniques.optimizer.nesterov", template="needs momentum, but momentum is 0.",
            hint_template="Set momentum = 0.9, or nesterov = false.",
        )


class Sgd(torch.optim.SGD):
    """Torch's, with a momentum that begins at zero.

    Torch's fused kernel leaves it unwritten where loss scaling skips the first step, and the next one reads it.
    """

    implementation = "SGD"

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step."""
        for group in self.param_groups:
            for parameter in group["params"] if group["momentum"] else ():
                if parameter.grad is not None and "momentum_buffer" not in self.state[parameter]:
                    self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        return super().step(closure)


def build(options: Options, named: Named, rate: Rate = same_rate) -> torch.optim.Optimizer:
    """The optimiser over the trainable ones of these parameters."""
    groups = decay_groups(named, options.learning_rate, options.weight_decay, rate)
    return Sgd(
        groups, lr=options.learning_rate, momentum=options.momentum, nesterov=options.nesterov,
        fused=fused_where_possible(groups),
    )


def reference(options: Options, weight: Tensor, gradients: Sequence[Tensor]) -> Tensor:
    """The weight after these gradients, by the formula."""
    decay = options.weight_decay if weight.dim() >= 2 else 0.0
    u = torch.zeros_like(weight)
    for gradient in gradients:
        g = gradient + decay * weight
        u = options.momentum * u + g
        weight = weight - options.learning_rate * (g + options.momentum * u if options.nesterov else u)
    return weight


def memory(options: Options, weights: Sequence[Weight]) -> tuple[int, int]:
    """One moment for each parameter, where there is momentum."""
    return (sum(w.numbers * w.width for w in weights) if options.momentum else 0), 0


TECHNIQUE = Technique(
    module=__name__,
    slot="optimizer",
    order=1,
    title="SGD with momentum",
    short="SGD",
    summary="A step against the gradient, with momentum.",
    paper="Robbins & Monro 1951; Sutskever et al. 2013",
    guide=Guide(
        choose="you want the least optimizer memory, or to see why transformers want Adam.",
        avoid="you want a transformer to learn quickly: one learning rate rarely fits all its weights.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    effects=(Effect(quantity="optimizer", sign="-", formula="4 bytes per trained weight with momentum, 0 without"),),
    claims=(MovesAll(),),
)
