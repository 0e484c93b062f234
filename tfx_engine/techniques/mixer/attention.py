"""Attention: every token looks at the others directly.

What it is: the transformer's way of exchanging information. Any two tokens of the context are one step apart, all
tokens are computed at once in training, and the work grows with the square of the context. What kind of attention it
is, the slot "attention" and those below it say.

Formula: y = attention(x)

What it costs: as the attention technique says.

Paper: Vaswani and others, "Attention Is All You Need" (2017), arXiv:1706.03762.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, config: Config, make_attention: Callable[[], nn.Module]) -> nn.Module:
    """The attention that the other slots describe."""
    return make_attention()


def reference(module: nn.Module, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """The attention itself: its own reference proves it."""
    return module(x_BTD, context)


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
    effects=(Effect(quantity="parameters", sign="0", formula="0"),),
)
