"""Parallel block: attention and feed-forward read the same input side by side, and both are added at once.

What it is: in the usual block the feed-forward reads what attention has already changed. Here both read the stream as
it comes into the block, and the sum of both results joins it. That halves the number of steps that must wait for one
another: the two branches can run at the same time, their first projections can be one large matrix product, and with
one shared norm the input is normed once. GPT-J introduced it; PaLM, Falcon and Cohere's models share one norm, GPT-NeoX
and Pythia have one for each branch.

Formula, per block, one norm:    x = x + Attention(Norm(x)) + FeedForward(Norm(x))
with two:                        x = x + Attention(Norm₁(x)) + FeedForward(Norm₂(x))

What it costs: as many FLOPs as pre-norm, and with one norm d (layer norm 2 · d) parameters less per block. It changes
the function: a block of this kind composes one step less, so a model of L blocks is shallower than with pre-norm. PaLM
reports about 15 % more speed at large scale, a small loss of quality at 8 billion parameters and none at 62. The gain
in speed comes from merging the matrix products of both branches, which this program does not do: here the products stay
apart, and what is saved is a norm.

There is one residual connection per block, so a residual technique with weights (layer scale, ReZero,
hyper-connections) has one set of them for the sum of both branches.

When to choose it: to repeat GPT-J, Pythia, Falcon or Cohere; for large models where waiting between steps costs more
than depth is worth. When not: in small models, where depth is what is short.

Paper: Wang, Komatsuzaki, "GPT-J-6B" (2021); Chowdhery and others, "PaLM" (2022), arXiv:2204.02311.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.placement import Parts, Placement
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    norms: int = option(
        1, kind="int", label="norms", low=1, high=2, unit="per block",
        help="1: both branches share one norm (GPT-J, Falcon, Cohere). 2: each has its own (GPT-NeoX, Pythia).",
    )


class ParallelBlock(nn.Module):
    """(stream, context) -> stream."""

    def __init__(self, parts: Parts, norms: int) -> None:
        super().__init__()
        self.attention_norm = parts.make_norm()
        self.attention = parts.attention
        self.feedforward_norm = parts.make_norm() if norms == 2 else None
        self.feedforward = parts.feedforward
        self.residual = parts.make_connection("parallel")

    def forward(self, stream: Tensor, context: AttentionContext) -> Tensor:
        """One residual branch, which is the sum of two."""

        def both(x_BTD: Tensor) -> Tensor:
            normed_BTD = self.attention_norm(x_BTD)
            other_BTD = normed_BTD if self.feedforward_norm is None else self.feedforward_norm(x_BTD)
            return self.attention(normed_BTD, context) + self.feedforward(other_BTD)

        return self.residual(stream, both)


@dataclasses.dataclass
class Parallel:
    """The placement: a final norm brings the residual stream to scale before the head."""

    norms_per_block: int
    final_norm: bool = True
    branches: tuple[str, ...] = ("parallel",)

    def block(self, parts: Parts) -> nn.Module:
        """A block with so many norms."""
        return ParallelBlock(parts, self.norms_per_block)

    def gain(self, name: str) -> float:
        """Weights begin as the slot `init` says."""
        return 1.0


def build(options: Options, config: Config) -> Placement:
    """The placement."""
    return Parallel(options.norms)


def reference(block: ParallelBlock, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """Step by step."""
    attended_BTD = block.attention(block.attention_norm(x_BTD), context)
    norm = block.attention_norm if block.feedforward_norm is None else block.feedforward_norm
    return block.feedforward(norm(x_BTD)).add(attended_BTD).add(x_BTD)


def memory(tape: Tape, options: Options, stream: Value) -> Value:
    """Both branches read the same normed stream, or each its own."""
    def both(x: Value) -> Value:
        normed: Value = tape.use("norm", x)
        other: Value = normed if options.norms == 1 else tape.use("norm", x)
        return tape.add(tape.use("mixer", normed), tape.use("feedforward", other))

    return tape.streams.join(tape, stream, both, 1.0)


TECHNIQUE = Technique(
    module=__name__,
    slot="placement",
    order=4,
    title="Parallel block",
    short="parallel",
    summary="Attention and feed-forward read the same normed input side by side, and both are added at once.",
    paper="Chowdhery et al. 2022, arXiv:2204.02311",
    guide=Guide(
        choose="you repeat GPT-J, Pythia, Falcon or Cohere, or depth is not what is short.",
        avoid="the model is small: every block then composes one step less.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    effects=(
        Effect(quantity="parameters", sign="-", formula="with one norm: one norm per block less than pre-norm"),
        Effect(quantity="flops", sign="0", formula="as pre-norm"),
        Effect(quantity="activations", sign="-", formula="with one norm: its input and output kept once per block"),
    ),
)
