"""Update after the backward pass: all gradients first, then one step of the optimizer.

What it is: the usual order. When the backward pass is over, every trained weight has its gradient; they can be summed
over the pieces of a batch, measured and clipped together, and then move all weights at once. That moment, at which all
gradients are there and nothing has moved yet, is what most of the tools around training are made for: clipping by norm,
loss scaling with 16-bit numbers, accumulation, averaging over several devices.

Formula: g = ∇ loss(W); W ← W + Δ(g)

What it costs: a gradient for every trained weight, all at the same time: 4 bytes per weight in float32. Early in the
backward pass the activations are at their peak and there are hardly any gradients; late in it, it is the other way
round. So the gradients add to the peak of memory only partly, the more so the fewer activations there are: with
recompute or small batches they matter, with long contexts hardly. The optimizer's own step comes when the activations
are gone, and an implementation that needs a temporary of the size of the model seldom makes the peak.

When to choose it: nearly always; nothing has to be given up. The optimizer can treat all weights in a few large
operations, where an update within the backward pass needs at least one for every tensor. When not: if weights,
gradients and optimizer state fill the memory, as in fine-tuning a model that barely fits: `in_backward` then never
holds more than a few gradients.

Paper: the baseline of Lv and others, "Full Parameter Fine-tuning for Large Language Models with Limited Resources"
(2023), arXiv:2306.09782.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.optim import Optimizer

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.technique import NoOptions, Technique
from tfx_engine.techniques.update import MakeOptimizer, Update


class AfterBackward:
    """One optimizer over all trained weights."""

    is_in_backward = False

    def attach(self, model: nn.Module, make: MakeOptimizer) -> Optimizer:
        """The optimizer; there are no hooks."""
        return make(model.named_parameters())


def build(options: NoOptions, config: Config) -> Update:
    """The usual order."""
    return AfterBackward()


def reference(weights: Sequence[Tensor], gradients: Sequence[Tensor], rate: float) -> list[Tensor]:
    """One step of plain gradient descent."""
    return [weight - rate * gradient for weight, gradient in zip(weights, gradients, strict=True)]


TECHNIQUE = Technique(
    module=__name__,
    slot="update",
    order=0,
    title="After the backward pass",
    short="after",
    summary="All gradients first, then one step of the optimizer.",
    paper="Lv et al. 2023, arXiv:2306.09782 (the baseline)",
    guide=Guide(
        choose="gradients are to be clipped, accumulated or looked at together.",
        avoid="gradients are what does not fit into memory.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="gradients", sign="0", formula="all at once"),),
)
