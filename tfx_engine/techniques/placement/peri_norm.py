"""Peri-norm: a norm before each branch and another after it; the stream itself stays free.

What it is: pre-norm with one more norm, on what the branch found before it is added. Pre-norm fixes the size of what a
branch reads and leaves open how much it adds, and in training some branches learn to add very large numbers, which
then stay in the stream for good. Here both ends are under control: the second norm's weight, one number per
coordinate, says how much a branch adds. It was called sandwich norm when CogView introduced it against overflow in 16
bits; Gemma 2 and 3 have it.

Formula, per block:
    x = x + Norm(Attention(Norm(x)))
    x = x + Norm(FeedForward(Norm(x)))

All four norms have weights of their own, and a final norm stands before the head. The study that gave it the name also
norms the sum of token vectors and positions before the first block: that is the option "norm" of the embedding.

What it costs: four norms per block and one at the end, and the branches' outputs kept for the backward pass, 2 · d
numbers more per token and block. The norms are cheap in arithmetic and not in memory traffic. Since a norm follows
each branch's last matrix product, recomputing a block repeats it.

When to choose it: where pre-norm's activations or gradients spike, in low precision, with large learning rates, in
deep models. The study reports steadier variance and steadier gradients up to 3.2 billion parameters. When not: in
small models that train well with pre-norm, where it is only slower. A branch's output begins at the size of a normed
vector whatever its weights are, so an `init` that shrinks the output layers (GPT-2's) has no effect here.

Paper: Kim and others, "Peri-LN" (2025), arXiv:2502.02732; Ding and others, "CogView" (2021), arXiv:2105.13290.
"""

from __future__ import annotations

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.costs import Work
from tfx_engine.techniques.placement import Parts, Placement, TwoBranches
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import NoOptions, Technique


class PeriNormBlock(nn.Module):
    """(stream, context) -> stream."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.attention_norm = parts.make_norm()
        self.attention = parts.attention
        self.attention_output_norm = parts.make_norm()
        self.attention_residual = parts.make_connection("attention")
        self.feedforward_norm = parts.make_norm()
        self.feedforward = parts.feedforward
        self.feedforward_output_norm = parts.make_norm()
        self.feedforward_residual = parts.make_connection("feedforward")

    def forward(self, stream: Tensor, context: AttentionContext) -> Tensor:
        """Two residual branches, each normalised at its beginning and at its end."""

        def attend(x_BTD: Tensor) -> Tensor:
            return self.attention_output_norm(self.attention(self.attention_norm(x_BTD), context))

        def feed(x_BTD: Tensor) -> Tensor:
            return self.feedforward_output_norm(self.feedforward(self.feedforward_norm(x_BTD)))

        return self.feedforward_residual(self.attention_residual(stream, attend), feed)


class PeriNorm(TwoBranches):
    """The placement: a final norm brings the residual stream to scale before the head."""

    norms_per_block = 4
    block = PeriNormBlock


def build(options: NoOptions, config: Config) -> Placement:
    """The placement."""
    return PeriNorm()


def reference(block: PeriNormBlock, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """Step by step."""
    found_BTD = block.attention(block.attention_norm(x_BTD), context)
    after_attention_BTD = block.attention_output_norm(found_BTD).add(x_BTD)
    found_BTD = block.feedforward(block.feedforward_norm(after_attention_BTD))
    return block.feedforward_output_norm(found_BTD).add(after_attention_BTD)


def memory(tape: Tape, options: NoOptions, stream: Value) -> Value:
    """A norm before and after each branch."""
    def normed(slot: str, x: Value) -> Value:
        y: Value = tape.use("norm", tape.use(slot, tape.use("norm", x)))
        return y

    stream = tape.streams.join(tape, stream, lambda x: normed("mixer", x), 1.0)
    return tape.streams.join(tape, stream, lambda x: normed("feedforward", x), 1.0)


TECHNIQUE = Technique(
    module=__name__,
    slot="placement",
    order=2,
    title="Peri-norm",
    short="peri-norm",
    summary="A norm before each branch and another on what it adds; the residual path stays free.",
    paper="Kim et al. 2025, arXiv:2502.02732",
    guide=Guide(
        choose="activations or gradients spike with pre-norm: deep models, low precision, large learning rates.",
        avoid="the model is small and trains well: two more norms per block only cost time.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    work=lambda options, config: Work(keeps_after=True),
    effects=(
        Effect(quantity="parameters", sign="+", formula="two more norms per block, one final norm"),
        Effect(quantity="activations", sign="+", formula="per token and block: both branches' outputs, 2 · width"),
        Effect(quantity="gradients", sign="0", formula="norm of the last block's gradient falls like 1 / sqrt(layers)"),
    ),
)
