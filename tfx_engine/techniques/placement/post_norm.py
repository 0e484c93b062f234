"""Post-norm: the norm stands after the residual sum, as in the original transformer.

What it is: every branch's result is added to the stream and the sum is normed. So every block's output has a known
size at any depth, no final norm is needed, and a late block has as much say as an early one. But each norm also stands
in the gradient's way. Going back through L blocks it passes 2 L of them, each of which scales it down a little, so at
the start gradients are large near the output and small near the input.

Formula, per block:
    x = Norm(x + Attention(x))
    x = Norm(x + FeedForward(x))

What it costs: two norms per block. At initialisation the gradient of the last feed-forward does not shrink with depth,
and Adam's first steps, which are as long as the learning rate whatever the gradient is, then do harm. Training needs a
gentle beginning: a warm-up over the first few per cent of the steps. Without one, models of six and more blocks at a
learning rate of 1e-3 or above often come to rest on a plateau at the very beginning and stay there. Every block ends
with a norm, so recomputing a block repeats all of its matrix products.

When to choose it: to repeat the original transformer, BERT or GPT-1; for shallow models with warm-up, where it is
reported to end somewhat better than pre-norm. When not: for deep models, or without warm-up. DeepNorm keeps its form
and makes it deep; residual post-norm and peri-norm take its idea, normed outputs, and leave the stream alone.

Paper: Vaswani and others, "Attention Is All You Need" (2017), arXiv:1706.03762; analysed by Xiong and others (2020),
arXiv:2002.04745.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.placement import Parts, Placement, TwoBranches, norm_after
from tfx_engine.techniques.schedule import rises
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import NoOptions, Technique

# Where runs were seen to stall: the first steps are as long as the rate says, whatever the gradients are.
_DEEP, _LARGE, _AS_ADAM = 6, 1e-3, ("adamw", "adamw_8bit", "muon")


class PostNormBlock(nn.Module):
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
        """Two residual branches, each sum normalised."""
        stream = self.attention_norm(self.attention_residual(stream, lambda x_BTD: self.attention(x_BTD, context)))
        return self.feedforward_norm(self.feedforward_residual(stream, self.feedforward))


class PostNorm(TwoBranches):
    """The placement: every block ends with a norm, so none stands before the head."""

    final_norm = False
    block = PostNormBlock


def check(options: NoOptions, config: Config) -> Iterator[Problem]:
    """Warn of what is known to stall: deep, a large learning rate, and no gentle beginning."""
    optimizer = config.techniques["optimizer"]
    rate = optimizer.options.get("learning_rate", 0.0)
    if config.model.layers >= _DEEP and optimizer.use in _AS_ADAM and rate >= _LARGE and not rises(config):
        yield Problem(
            code="may-stall", path="techniques.placement.use", level="warning",
            template="often stalls at a plateau with {layers} blocks, a learning rate of {rate} and no rising steps.",
            hint_template="Give the schedule some rising steps, or choose 'deep_norm' or 'pre_norm'.",
            args={"layers": config.model.layers, "rate": rate},
        )


def build(options: NoOptions, config: Config) -> Placement:
    """The placement."""
    return PostNorm()


def reference(block: PostNormBlock, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """Step by step."""
    summed_BTD = block.attention(x_BTD, context).add(x_BTD)
    after_attention_BTD = block.attention_norm(summed_BTD)
    summed_BTD = block.feedforward(after_attention_BTD).add(after_attention_BTD)
    return block.feedforward_norm(summed_BTD)


def memory(tape: Tape, options: NoOptions, stream: Value) -> Value:
    """A norm after each sum."""
    stream = tape.use("norm", tape.streams.join(tape, stream, lambda x: tape.use("mixer", x), 1.0))
    out: Value = tape.use("norm", tape.streams.join(tape, stream, lambda x: tape.use("feedforward", x), 1.0))
    return out


TECHNIQUE = Technique(
    module=__name__,
    slot="placement",
    order=1,
    title="Post-norm",
    short="post-norm",
    summary="The norm stands after the residual sum, as in the original transformer.",
    paper="Vaswani et al. 2017, arXiv:1706.03762",
    guide=Guide(
        choose="you rebuild the original transformer or BERT, shallow, with warm-up.",
        avoid="the model is deep or there is no warm-up: training may stall at a plateau.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    check=check,
    work=norm_after,
    effects=(
        Effect(quantity="parameters", sign="0", formula="no final norm"),
        Effect(quantity="gradients", sign="+", formula="norm of the last block's gradient does not fall with depth"),
    ),
)
