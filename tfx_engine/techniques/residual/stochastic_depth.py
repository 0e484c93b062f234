"""Stochastic depth: in training a branch is left out at random, more often the deeper it lies.

What it is: dropout for whole branches. For every sample of the batch and every branch a coin is thrown. Where it says
no, the stream passes the branch unchanged; where it says yes, the branch counts a little more, so that the mean is
right. In evaluation all branches take part. A model trained so is something like the mean of many shallower ones, no
branch can rely on the one before it alone, and gradients reach early blocks by shorter ways.

Formula: x = x + b / (1 - p) · F(x), b = 0 with probability p, else 1, drawn for each sample;
p = rate · l / L in block l of L, counted from 1

So the first block is hardly ever left out and the last one with the probability that the option gives. The paper scales
in evaluation instead of in training, which is the same in the mean.

What it costs: nothing to store but one number per sample and connection. It saves no time here: the branch is computed
for the whole batch and the result set to zero, because leaving out single samples would give every step another shape.
The FLOPs are therefore those of the whole model. Training needs more steps and its loss is noisier: compare losses in
evaluation. The coins come from the run's seed, so a run repeats itself to the bit, and recompute throws them a second
time with the same result.

When to choose it: many passes over little data, deep models, vision transformers, where DeiT and Swin use 0.1 to 0.5.
When not: language models that see each text once, which underfit rather than overfit; short runs; when you compare
training losses with a model that has none.

Paper: Huang and others, "Deep Networks with Stochastic Depth" (2016), arXiv:1603.09382; for transformers: Fan, Grave,
Joulin, "Reducing Transformer Depth on Demand with Structured Dropout" (2019), arXiv:1909.11556.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import Quiet
from tfx_engine.techniques.residual import Branch, OneStream, Residual, keeps_branch, scaled_by, skipped
from tfx_engine.techniques.tape import Streams, Tape, Value
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    rate: float = option(
        0.1, kind="float", label="rate", low=0.0, high=0.9,
        help="Probability that a branch of the last block is left out; earlier blocks in proportion to their depth.",
    )


class DroppedConnection(nn.Module):
    """(x_BTD, Branch, skip) -> x_BTD; `probability` of leaving the branch out, for each sample."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x_BTD: Tensor, branch: Branch, skip: float = 1.0) -> Tensor:
        """The sum, without the branch for some samples."""
        y_BTD = branch(x_BTD)
        if self.training and self.probability > 0:
            kept = 1 - self.probability
            coin_B11 = torch.rand(y_BTD.shape[0], 1, 1, device=y_BTD.device) < kept
            y_BTD = y_BTD * (coin_B11.to(y_BTD.dtype) / kept)
        return skipped(x_BTD, skip) + y_BTD


@dataclasses.dataclass(frozen=True)
class StochasticDepth(OneStream):
    """One stream; the deeper a connection the likelier it is closed."""

    rate: float
    layers: int

    def connection(self, layer: int, branch: str) -> nn.Module:
        """A connection with the probability of its block."""
        return DroppedConnection(self.rate * (layer + 1) / self.layers)


def build(options: Options, config: Config) -> Residual:
    """The residual."""
    return StochasticDepth(options.rate, config.model.layers)


def reference(module: DroppedConnection, stream: Tensor, branch: Branch, skip: float) -> Tensor:
    """In evaluation: the sum."""
    return branch(stream).add(stream, alpha=skip)


def memory(tape: Tape, options: Options) -> Streams:
    """A product with the coins, which are few, and the sum."""
    def join(tape: Tape, x: Value, branch: Callable[[Value], Value], skip: float) -> Value:
        y = branch(x)
        y = tape.make(y, extra=y.width * tape.batch) if options.rate else y
        return tape.add(scaled_by(tape, x, skip), y)

    return Streams(join=join)


TECHNIQUE = Technique(
    module=__name__,
    slot="residual",
    order=3,
    title="Stochastic depth",
    short="stoch. depth",
    summary="In training a branch is left out at random, more often the deeper it lies.",
    paper="Huang et al. 2016, arXiv:1603.09382",
    guide=Guide(
        choose="a deep model passes over the same data many times and overfits.",
        avoid="each text is seen once, or training losses are to be compared.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    work=keeps_branch,
    effects=(
        Effect(quantity="parameters", sign="0", formula="0"),
        Effect(quantity="flops", sign="0", formula="the branch is computed and set to zero: nothing is saved"),
        Effect(quantity="activations", sign="+", formula="per sample and connection: 1 number"),
    ),
    claims=(Quiet(when="rate"),),
)
