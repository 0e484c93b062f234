"""Attention: every token looks at the others directly.

What it is: the transformer's way of exchanging information. Each token asks every other (or every earlier one) how much
it has to say to it, and takes a mean of what they offer by these weights. Nothing has to be carried: any two tokens of
the context are one step apart, whether neighbours or at both ends. All tokens are computed at once in training, since
none waits for another. In return the work grows with the square of the context, and whoever generates text must keep
keys and values of all of it.

Formula: y = attention(x)

What kind of attention it is, the slot "attention" says, and those below it say what else acts on the scores: positions,
mask, window, norms of queries and keys, soft cap, sink and gate. The slot "kernel" says which code computes it.

This slot exists to be switched: with "lstm" or "gru" in it a recurrent layer stands in every block's place for
attention, while norms, feed-forward, data and all other initial weights stay as they are, so that what differs between
two runs is this one thing.

What it costs: as the attention technique says: about 4 · d² parameters per block, 8 · d² FLOPs per token for the
projections and 4 · T · d for scores and mixing. At contexts below twice the width the projections are the larger part.

When to choose it: for every transformer. When not: to see what a recurrent layer would do in its place.

Paper: Vaswani and others, "Attention Is All You Need" (2017), arXiv:1706.03762.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, config: Config, make_attention: Callable[[], nn.Module]) -> nn.Module:
    """The attention that the other slots describe."""
    return make_attention()


def reference(module: nn.Module, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """The attention itself: its own reference proves it."""
    return module(x_BTD, context)


def memory(tape: Tape, options: NoOptions, x: Value) -> Value:
    """That of the attention."""
    y: Value = tape.use("attention", x)
    return y


TECHNIQUE = Technique(
    module=__name__,
    slot="mixer",
    order=0,
    title="Attention",
    short="attention",
    summary="Every token looks at the others directly.",
    paper="Vaswani et al. 2017, arXiv:1706.03762",
    guide=Guide(
        choose="you build a transformer.",
        avoid="you want to see what a recurrent net would do in its place.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    effects=(Effect(quantity="parameters", sign="0", formula="0"),),
)
