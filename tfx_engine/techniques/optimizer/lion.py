"""Lion: every weight moves by the same amount, in the direction of a sign.

What it is: one running mean m of the gradients. The step takes the sign of a mix of this mean and the newest gradient,
so every weight moves by exactly the learning rate, up or down, at every step; only the direction is learnt from the
gradients, never the distance. Two different rates of forgetting are used: the step looks more at the newest gradient
(β₁) than what is remembered afterwards (β₂). It was not designed but found, by a program that searched through programs
for optimizers. Weight decay is decoupled and falls on matrices only.

Formula:
    W ← W - η λ W - η · sign(β₁ m + (1 - β₁) g)        m ← β₂ m + (1 - β₂) g

What it costs: one number per trained weight in the weights' own format, 4 bytes in float32, half of Adam's. The update
needs no division and no root. Own code: torch has no Lion. One tensor after the other, with one temporary of its size.

The learning rate means something else than with Adam. There a weight whose gradients scatter around zero hardly moves;
here it trembles by the full rate. So the authors advise rates 3 to 10 times smaller than Adam's and a weight decay
larger by the same factor, so that their product, which is what decides, stays the same.

When to choose it: if half of the optimizer's state is worth tuning anew, with large batches, where signs are reliable.
When not: with small batches, whose gradients are mostly noise: the sign throws away how uncertain they were. It also
makes the most of nothing: a gradient of 1e-12 moves its weight as far as one of 1.

Paper: Chen and others, "Symbolic Discovery of Optimization Algorithms" (2023), arXiv:2302.06675.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import MovesAll
from tfx_engine.techniques.optimizer import Group, Named, Rate, decay_groups, largest, same_rate
from tfx_engine.techniques.tape import Weight
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    learning_rate: float = option(
        2e-4, kind="float", label="learning rate", low=0.0, high=1.0,
        help="How far every weight moves at every step, η: 3 to 10 times smaller than with AdamW.",
    )
    beta1: float = option(
        0.9, kind="float", label="β₁", low=0.0, high=0.9999,
        help="Weight of the running mean in the step; the rest is the newest gradient's.",
    )
    beta2: float = option(
        0.99, kind="float", label="β₂", low=0.0, high=0.999999,
        help="How slowly the running mean follows the gradients.",
    )
    weight_decay: float = option(
        0.5, kind="float", label="weight decay", low=0.0, high=100.0,
        help="Share of a matrix, times the learning rate, that goes at every step, λ: 3 to 10 times that of AdamW.",
    )


class Lion(torch.optim.Optimizer):
    """The formula; `exp_avg` is m."""

    def __init__(self, groups: list[Group], learning_rate: float, betas: tuple[float, float]) -> None:
        super().__init__(groups, {"lr": learning_rate, "betas": betas, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Move every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for parameter in group["params"]:
                if (gradient := parameter.grad) is not None:
                    state = self.state[parameter]
                    if not state:
                        state["exp_avg"] = torch.zeros_like(parameter)
                    mean = state["exp_avg"]
                    direction = mean.lerp(gradient, 1 - beta1).sign_()
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(direction, alpha=-group["lr"])
                    mean.lerp_(gradient, 1 - beta2)
        return loss


def build(options: Options, named: Named, rate: Rate = same_rate) -> torch.optim.Optimizer:
    """The optimiser over the trainable ones of these parameters."""
    groups = decay_groups(named, options.learning_rate, options.weight_decay, rate)
    return Lion(groups, options.learning_rate, (options.beta1, options.beta2))


def reference(options: Options, weight: Tensor, gradients: Sequence[Tensor]) -> Tensor:
    """The weight after these gradients, by the formula."""
    decay = options.weight_decay if weight.dim() >= 2 else 0.0
    m = torch.zeros_like(weight)
    for g in gradients:
        mixed = options.beta1 * m + (1 - options.beta1) * g
        weight = weight - options.learning_rate * decay * weight - options.learning_rate * mixed / mixed.abs()
        m = options.beta2 * m + (1 - options.beta2) * g
    return weight


def memory(options: Options, weights: Sequence[Weight]) -> tuple[int, int]:
    """One moment for each parameter, and a direction for one at a time."""
    return sum(w.numbers * w.width for w in weights), largest(weights)


TECHNIQUE = Technique(
    module=__name__,
    slot="optimizer",
    order=5,
    title="Lion",
    short="Lion",
    summary="Every weight moves by the same amount, in the direction of a sign.",
    paper="Chen et al. 2023, arXiv:2302.06675",
    guide=Guide(
        choose="half of AdamW's state must do, batches are large, and you can tune learning rate and decay anew.",
        avoid="batches are small: the sign of a noisy gradient is mostly noise.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    effects=(Effect(quantity="optimizer", sign="-", formula="4 bytes per trained weight"),),
    claims=(MovesAll(),),
)
