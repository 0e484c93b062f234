"""No window: attention looks at everything that the mask allows.

What it is: every layer may reach every earlier token of the context, however far back. This is the attention of the
original transformer. Two tokens are one step apart at any distance, so what stands at the beginning can be copied,
compared or counted at the end in a single layer; with windows it has to be handed on from layer to layer, and what
nobody handed on is lost.

Formula: query i may look at key j wherever the mask allows it.

What it costs: 4 · T · h · k FLOPs per token and layer for scores and mixing, which grow with the context T while those
of the linear layers do not: at T = 2 · d they are as many as those of the four projections of multi-head attention.
Memory grows with the context alone where a fused kernel fits, and with its square where none does. Whoever generates
text keeps the keys and values of the whole context in every layer.

When to choose it: for contexts up to a few thousand tokens there is seldom a reason for anything else, and it is the
baseline for every window. When not: for long contexts of which mostly the neighbourhood matters. Most models with
windows leave them out in some layers, so that nothing is out of reach; the option `full_every` of the sliding window
does that.

Paper: Vaswani and others, "Attention Is All You Need" (2017), arXiv:1706.03762.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.technique import NoOptions, Technique


class AllLayersSeeAll:
    """The window that is none."""

    def size(self, layer: int) -> int | None:
        """No bound."""
        return None


def build(options: NoOptions, config: Config) -> AllLayersSeeAll:
    """Every layer sees all."""
    return AllLayersSeeAll()


def reference(tokens: int, layer: int, options: NoOptions, config: Config) -> Tensor:
    """bool [T, T]: everything."""
    return torch.ones(tokens, tokens, dtype=torch.bool)


TECHNIQUE = Technique(
    module=__name__,
    slot="window",
    order=0,
    title="No window",
    short="none",
    summary="Attention looks at everything that the mask allows.",
    paper="Vaswani et al. 2017, arXiv:1706.03762",
    guide=Guide(
        choose="the context is short, or distant tokens matter in every layer.",
        avoid="the context is long and most of what matters is near.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="flops", sign="0", formula="the full T × T square"),),
)
