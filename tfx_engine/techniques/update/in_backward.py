"""Update within the backward pass: each weight moves as soon as its gradient is there, and the gradient is dropped.

What it is: the backward pass goes from the last layer to the first. When it has finished the gradient of a tensor,
nothing further down needs that tensor's old values any more, so the optimizer can move it at once and forget the
gradient. Every tensor has an optimizer of its own for that; together they do what one would have done, to the bit for
optimizers that look at each number or each tensor by itself, which all of these are.

Formula, from the last tensor to the first: g = ∂ loss / ∂ W; W ← W + Δ(g); g is freed

What it costs: time, somewhat: one small update for each tensor in place of a few large ones, and on a GPU as many more
kernels to start. What it saves is the memory of the gradients, 4 bytes per trained weight in float32: only those exist
that autograd has just made. That lowers the peak of a step as far as gradients are part of it, which is most where
activations are few: recompute, short contexts, small batches.

What it excludes: whatever needs all gradients at one moment. Clipping by norm needs their common length before any
weight may move; accumulation would move the weights once per piece; loss scaling must look whether any gradient has
overflowed; a compiled backward pass hands over all gradients at its end. Gradient norms are still measured, one tensor
after the other while they pass by.

When to choose it: in full fine-tuning of a model whose weights, gradients and optimizer state barely fit, with an
optimizer of little state (Adafactor, 8-bit AdamW, SGD); it is what lets a single GPU train all weights of a model that
otherwise only an adapter could train. When not: if gradients are a small part of the peak, as the memory chart shows.

Paper: Lv and others, "Full Parameter Fine-tuning for Large Language Models with Limited Resources" (2023),
arXiv:2306.09782, there for plain descent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tfx_engine.protocol.cards import Effect, Guide, Rule
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import SameSteps
from tfx_engine.techniques.devices import device_kind
from tfx_engine.techniques.optimizer import Together
from tfx_engine.techniques.tape import Weight
from tfx_engine.techniques.technique import NoOptions, Technique
from tfx_engine.techniques.update import MakeOptimizer, Update, Watcher


def check(options: NoOptions, config: Config) -> Iterator[Problem]:
    """Loss scaling needs all gradients before any weight moves."""
    from tfx_engine.techniques.catalogue import technique_for  # which loads the techniques, and they this

    choice = config.techniques["precision"]
    technique, chosen = technique_for("precision", choice)
    if technique.build(chosen, config).scaler(device_kind(config)) is not None:
        yield Problem(
            code="does-not-fit", path="techniques.update.use",
            template="does not fit {precision!r}: its loss scaling must see all gradients before any weight moves.",
            hint_template='Use precision "bfloat16_autocast", or update "after_backward".',
            args={"precision": choice.use},
        )


class PassingOptimizer(Together):
    """An optimizer for each tensor, moved by hooks. `watchers` see each parameter with its gradient before it moves."""

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        super().__init__(parts)
        self.watchers: list[Watcher] = []

    def hook(self, part: Optimizer) -> Callable[[nn.Parameter], None]:
        """What is to be done when the gradient of the part's parameter is there."""

        def move(parameter: nn.Parameter) -> None:
            for watcher in self.watchers:
                watcher(parameter)
            part.step()
            parameter.grad = None

        return move

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:
        """Everything has been done."""


class InBackward:
    """A hook on every trained parameter."""

    is_in_backward = True

    def attach(self, model: nn.Module, make: MakeOptimizer) -> Optimizer:
        """One optimizer that consists of one for each trained parameter, and the hooks that use them."""
        trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        optimizer = PassingOptimizer([make([pair]) for pair in trained])
        for (_, parameter), part in zip(trained, optimizer.parts, strict=True):
            parameter.register_post_accumulate_grad_hook(optimizer.hook(part))
        return optimizer


def build(options: NoOptions, config: Config) -> Update:
    """Updates by hooks."""
    return InBackward()


def reference(weights: Sequence[Tensor], gradients: Sequence[Tensor], rate: float) -> list[Tensor]:
    """One step of plain gradient descent: when it is done changes no number."""
    return [weight - rate * gradient for weight, gradient in zip(weights, gradients, strict=True)]


def memory(options: NoOptions, optimizer: Technique, own: Any) -> Callable[[Weight], int] | None:
    """Each weight moves as soon as its gradient is there: bytes that this takes."""
    moves = optimizer.memory
    return lambda weight: moves(own, [weight])[1] if moves else 0


TECHNIQUE = Technique(
    module=__name__,
    slot="update",
    order=1,
    title="Within the backward pass",
    short="in backward",
    summary="Each weight moves as soon as its gradient is there, and the gradient is dropped.",
    paper="Lv et al. 2023, arXiv:2306.09782",
    guide=Guide(
        choose="all weights are trained, and gradients are part of what does not fit into memory.",
        avoid="gradients are to be clipped by their common length or accumulated, or activations make the peak.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    check=check,
    requires=(
        Rule(slot="clip", names=("none",), reason="A bound needs all gradients before any weight moves."),
        Rule(slot="accumulation", names=("none",), reason="The weights would move once for every piece of the batch."),
        Rule(slot="compile", names=("none",), reason="A compiled backward pass hands over all gradients at its end."),
    ),
    effects=(
        Effect(quantity="gradients", sign="-", formula="the largest few tensors' gradients in place of all"),
        Effect(quantity="time", sign="+", formula="one small update per tensor in place of a few large ones"),
        Effect(quantity="optimizer", sign="0", formula="0"),
    ),
    claims=(SameSteps(),),
)
