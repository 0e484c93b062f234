"""Pre-norm: the norm stands before attention and feed-forward, inside the branch.

What it is: the residual stream itself is never normalised. Each branch reads a normed copy of it and adds what it
found, so there is a straight path from the loss to the first block, on which no weight and no norm stands, and
gradients reach every depth. One more norm stands before the head, because what arrives there is the sum of all
branches.

Formula, per block:
    x = x + Attention(Norm(x))
    x = x + FeedForward(Norm(x))

At the beginning every branch adds about as much as the others, so the stream's variance grows in proportion to depth,
and a late branch changes it relatively little. That is the reason for the calm gradients, and also for the complaint
about it: the last blocks of very deep models do little.

What it costs: two norms per block and one at the end. At initialisation the gradient of the last feed-forward shrinks
with depth L like 1 / sqrt(L), which is why it trains without warm-up. A block ends with a sum, which keeps nothing for
the backward pass, so recomputing it may spare its last matrix product.

When to choose it: it is the standard of language models since GPT-2, and forgives most. When not: if activations grow
until low precision hurts, look at peri-norm, which norms the branches' outputs too; if you repeat the original
transformer or BERT, you need post-norm.

Paper: Xiong and others, "On Layer Normalization in the Transformer Architecture" (2020), arXiv:2002.04745; GPT-2.
"""

from __future__ import annotations

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.placement import Parts, Placement, TwoBranches
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import NoOptions, Technique


class PreNormBlock(nn.Module):
    """(stream, context) -> stream."""

    def __init__(self, parts: Parts) -> None:
        super().__init__()
        self.attention_norm = parts.make_norm()
        self.attention = parts.attention
        self.attention_residual = parts.make_connection("attention")
        self.feedforward_norm = parts.make_norm()
        self.feedforward = parts.feedforward
        self.feedforward_residual = parts.make_connection("feedforward")

    def forward(self, stream: Tensor, context: AttentionContext) -> Tensor:
        """Two residual branches, each normalised at its beginning."""
        stream = self.attention_residual(stream, lambda x_BTD: self.attention(self.attention_norm(x_BTD), context))
        return self.feedforward_residual(stream, lambda x_BTD: self.feedforward(self.feedforward_norm(x_BTD)))


class PreNorm(TwoBranches):
    """The placement: a final norm brings the residual stream to scale before the head."""

    block = PreNormBlock


def build(options: NoOptions, config: Config) -> Placement:
    """The placement."""
    return PreNorm()


def reference(block: PreNormBlock, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """Step by step."""
    normed_BTD = block.attention_norm(x_BTD)
    after_attention_BTD = block.attention(normed_BTD, context).add(x_BTD)
    normed_BTD = block.feedforward_norm(after_attention_BTD)
    return block.feedforward(normed_BTD).add(after_attention_BTD)


def memory(tape: Tape, options: NoOptions, stream: Value) -> Value:
    """A norm before each branch."""
    stream = tape.streams.join(tape, stream, lambda x: tape.use("mixer", tape.use("norm", x)), 1.0)
    return tape.streams.join(tape, stream, lambda x: tape.use("feedforward", tape.use("norm", x)), 1.0)


TECHNIQUE = Technique(
    module=__name__,
    slot="placement",
    order=0,
    title="Pre-norm",
    short="pre-norm",
    summary="The norm stands inside the branch, before attention and feed-forward; the residual path stays free.",
    paper="Xiong et al. 2020, arXiv:2002.04745",
    guide=Guide(
        choose="you want training that is stable from the first step, also when deep.",
        avoid="very deep models where the growing residual stream drowns the late blocks.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    effects=(
        Effect(quantity="parameters", sign="+", formula="one final norm: 2 · width"),
        Effect(quantity="gradients", sign="0", formula="norm of the last block's gradient falls like 1 / sqrt(layers)"),
    ),
)
