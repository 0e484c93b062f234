"""Residual post-norm: the norm stands after each branch, before the sum.

What it is: attention and feed-forward read the stream as it is; what they found is normed and then added. As in
pre-norm the stream has a straight path from the loss to the first block. As in post-norm the outputs are what is
normed, so every branch adds a vector of a known size and activations cannot be blown up layer by layer. Swin
transformer V2 introduced it, to train vision models larger than pre-norm would bear; OLMo 2 took it up for language.

Formula, per block:
    x = x + Norm(Attention(x))
    x = x + Norm(FeedForward(x))

What it costs: two norms per block and one before the head, as pre-norm. The norms stand behind the last matrix product
of each branch, so recomputing a block repeats that product too.

What a branch reads is not normed, and it grows with depth. For the feed-forward that is a matter of scale. For
attention it means that queries and keys grow and the scores with their product: the softmax saturates. So it is used
together with the slot "qk_norm", which norms queries and keys themselves: OLMo 2 does that, and Swin V2 has cosine
attention for the same reason.

When to choose it: to repeat OLMo 2 or Swin V2; with query-key norm where pre-norm's activations grow too large and
peri-norm's four norms are too many. When not: without query-key norm in deep models; with small learning rates and
short runs, where pre-norm learns sooner, since here every branch adds noise of full size from the first step.

Paper: Liu and others, "Swin Transformer V2" (2021), arXiv:2111.09883; OLMo 2 (2024), arXiv:2501.00656.
"""

from __future__ import annotations

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.placement import Parts, Placement, TwoBranches, norm_after
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import NoOptions, Technique


class ResidualPostNormBlock(nn.Module):
    """(stream, context) -> stream."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.attention = parts.attention
        self.attention_norm = parts.make_norm()
        self.attention_residual = parts.make_connection("attention")
        self.feedforward = parts.feedforward
        self.feedforward_norm = parts.make_norm()
        self.feedforward_residual = parts.make_connection("feedforward")

    def forward(self, stream: Tensor, context: AttentionContext) -> Tensor:
        """Two residual branches, each normalised at its end."""
        stream = self.attention_residual(stream, lambda x_BTD: self.attention_norm(self.attention(x_BTD, context)))
        return self.feedforward_residual(stream, lambda x_BTD: self.feedforward_norm(self.feedforward(x_BTD)))


class ResidualPostNorm(TwoBranches):
    """The placement: a final norm brings the residual stream to scale before the head."""

    block = ResidualPostNormBlock


def build(options: NoOptions, config: Config) -> Placement:
    """The placement."""
    return ResidualPostNorm()


def reference(block: ResidualPostNormBlock, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """Step by step."""
    after_attention_BTD = block.attention_norm(block.attention(x_BTD, context)).add(x_BTD)
    return block.feedforward_norm(block.feedforward(after_attention_BTD)).add(after_attention_BTD)


def memory(tape: Tape, options: NoOptions, stream: Value) -> Value:
    """A norm after each branch."""
    stream = tape.streams.join(tape, stream, lambda x: tape.use("norm", tape.use("mixer", x)), 1.0)
    return tape.streams.join(tape, stream, lambda x: tape.use("norm", tape.use("feedforward", x)), 1.0)


TECHNIQUE = Technique(
    module=__name__,
    slot="placement",
    order=3,
    title="Residual post-norm",
    short="res-post-norm",
    summary="The norm stands after each branch, before the sum: what is added is normed, what is read is not.",
    paper="Liu et al. 2021, arXiv:2111.09883",
    guide=Guide(
        choose="you repeat OLMo 2 or Swin V2, together with a query-key norm.",
        avoid="queries and keys are not normed and the model is deep: its scores grow with the stream.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    work=norm_after,
    effects=(
        Effect(quantity="parameters", sign="0", formula="two norms per block and one final norm, as pre-norm"),
        Effect(quantity="activations", sign="0", formula="as pre-norm; the outputs of the branches are kept instead"),
    ),
)
