"""Layer scale: every coordinate of what a branch adds has a trained weight, which begins small.

What it is: between a branch and the sum stands a vector γ of d numbers, one for each coordinate. With a small beginning
every block is nearly the identity, so a deep model behaves like a shallow one at first and lets its branches in one by
one, each at its own pace and for each coordinate apart. It was introduced to train vision transformers of more than
twenty blocks, which did not converge without.

Formula: x = x + γ ⊙ F(x), all of γ beginning at γ₀

The paper takes γ₀ = 0.1 up to 18 blocks, 1e-5 for 24 and 1e-6 beyond. With a beginning of 1 it changes nothing at
first, and only lets the model weigh its coordinates.

What it costs: d parameters per connection, 2 · d per block. They are vectors, so weight decay does not fall on them.
The output of the branch is kept for γ's gradient, d numbers per token and connection, and recomputing a block repeats
its last matrix product.

The gradient of a branch's own weights is multiplied by γ, so with γ₀ = 1e-5 plain gradient descent would hardly move
them. Adam divides by the gradient's size and does not mind. In use γ can be multiplied into the branch's output layer
and is then free.

When to choose it: deep models, vision transformers, fine-tuning in which new branches must not disturb at first. When
not: small or shallow models with pre-norm, which need no such beginning and learn more slowly with it. After peri-norm
or residual post-norm it is redundant: the norm at the end of the branch has a weight for every coordinate already.

Paper: Touvron and others, "Going deeper with Image Transformers" (2021), arXiv:2103.17239.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.counts import connection_count
from tfx_engine.techniques.residual import Branch, OneStream, Residual, added_scaled, keeps_branch, skipped
from tfx_engine.techniques.tape import Streams, Tape
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    initial: float = option(
        0.1, kind="float", label="γ₀", low=1e-8, high=10.0,
        help="Weight of a branch at the beginning. The deeper the model the smaller: 1e-5 at 24 blocks.",
    )


class LayerScaleConnection(nn.Module):
    """(x_BTD, Branch, skip) -> x_BTD."""

    def __init__(self, width: int, initial: float) -> None:
        super().__init__()
        self.initial = initial
        self.scale = nn.Parameter(torch.empty(width))

    def forward(self, x_BTD: Tensor, branch: Branch, skip: float = 1.0) -> Tensor:
        """The sum, the branch weighed coordinate by coordinate."""
        return torch.addcmul(skipped(x_BTD, skip), self.scale, branch(x_BTD))

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """γ₀ everywhere."""
        parameter.fill_(self.initial)
        return True


@dataclasses.dataclass(frozen=True)
class LayerScale(OneStream):
    """One stream; every connection has its γ."""

    width: int
    initial: float

    def connection(self, layer: int, branch: str) -> nn.Module:
        """A connection with a γ of its own."""
        return LayerScaleConnection(self.width, self.initial)


def build(options: Options, config: Config) -> Residual:
    """The residual."""
    return LayerScale(config.model.width, options.initial)


def reference(module: LayerScaleConnection, stream: Tensor, branch: Branch, skip: float) -> Tensor:
    """The branch times a diagonal matrix."""
    return branch(stream) @ torch.diag(module.scale) + skip * stream


def memory(tape: Tape, options: Options) -> Streams:
    """What a branch gives is kept for the gradient of its scale."""
    width = tape.config.model.width
    return Streams(join=lambda tape, x, branch, skip: added_scaled(tape, x, branch, skip, width))


TECHNIQUE = Technique(
    module=__name__,
    slot="residual",
    order=1,
    title="Layer scale",
    short="layer scale",
    summary="Every coordinate of what a branch adds has a trained weight, which begins small.",
    paper="Touvron et al. 2021, arXiv:2103.17239",
    guide=Guide(
        choose="the model is deep and should begin as if it were shallow.",
        avoid="the model is shallow, or a norm at the end of the branch already weighs every coordinate.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    params=lambda options, config: connection_count(config) * config.model.width,
    work=keeps_branch,
    effects=(
        Effect(quantity="parameters", sign="+", formula="width per connection"),
        Effect(quantity="activations", sign="+", formula="per token and connection: the branch's output, width"),
    ),
)
