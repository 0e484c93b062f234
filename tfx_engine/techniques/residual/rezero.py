"""ReZero: every branch has one trained weight, which begins at zero.

What it is: at the first step no branch adds anything, so the whole model is the identity between embedding and head,
and signals and gradients pass any depth unchanged. Each branch then opens as far as it helps. It is the simplest of the
ways to begin silent: one number per branch, and nothing to choose.

Formula: x = x + α · F(x), α beginning at 0

At the first step the gradient of everything inside a branch is exactly zero, since α multiplies it; only the α's, the
embedding and the head move. From the second step on the branches learn too. That is no fault, but it means that the
first step's gradient norms say nothing about the branches.

What it costs: one parameter per connection, two per block. The output of the branch is kept for α's gradient, d numbers
per token and connection, and recomputing a block repeats its last matrix product.

The paper removes the norms altogether and trains transformers of 128 blocks so. Here the norm placement is a slot of
its own and stays as it is: to repeat the paper's model is not possible, to add its residual to any placement is. After
post-norm the stream is still normed at every block, so the identity holds but for the norms.

When to choose it: deep models without warm-up, or to see how far each branch opens: the α's are a table of how much the
model uses each layer. When not: where steps are few, since opening takes some of them; for a weight per coordinate take
layer scale.

Paper: Bachlechner and others, "ReZero is All You Need: Fast Convergence at Large Depth" (2020), arXiv:2003.04887.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.counts import connection_count
from tfx_engine.techniques.residual import Branch, OneStream, Residual, added_scaled, keeps_branch, skipped
from tfx_engine.techniques.tape import Streams, Tape
from tfx_engine.techniques.technique import NoOptions, Technique


class ReZeroConnection(nn.Module):
    """(x_BTD, Branch, skip) -> x_BTD."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.empty(1))

    def forward(self, x_BTD: Tensor, branch: Branch, skip: float = 1.0) -> Tensor:
        """The sum, the branch as far open as its weight."""
        return torch.addcmul(skipped(x_BTD, skip), self.scale, branch(x_BTD))

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """Closed."""
        parameter.zero_()
        return True


class ReZero(OneStream):
    """One stream; every connection has its α."""

    def connection(self, layer: int, branch: str) -> nn.Module:
        """A connection with an α of its own."""
        return ReZeroConnection()


def build(options: NoOptions, config: Config) -> Residual:
    """The residual."""
    return ReZero()


def reference(module: ReZeroConnection, stream: Tensor, branch: Branch, skip: float) -> Tensor:
    """The formula."""
    return skip * stream + module.scale * branch(stream)


def memory(tape: Tape, options: NoOptions) -> Streams:
    """What a branch gives is kept for the gradient of its scale."""
    return Streams(join=lambda tape, x, branch, skip: added_scaled(tape, x, branch, skip, 1))


TECHNIQUE = Technique(
    module=__name__,
    slot="residual",
    order=2,
    title="ReZero",
    short="ReZero",
    summary="Every branch has one trained weight, which begins at zero.",
    paper="Bachlechner et al. 2020, arXiv:2003.04887",
    guide=Guide(
        choose="the model is deep and should begin as the identity, with nothing to choose.",
        avoid="the run is short: branches open only from the second step on.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    params=lambda options, config: connection_count(config),
    work=keeps_branch,
    effects=(
        Effect(quantity="parameters", sign="+", formula="1 per connection"),
        Effect(quantity="activations", sign="+", formula="per token and connection: the branch's output, width"),
        Effect(quantity="gradients", sign="-", formula="0 within the branches at the first step"),
    ),
)
