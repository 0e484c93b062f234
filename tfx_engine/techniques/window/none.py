"""No window: attention looks at everything that the mask allows.

What it is: every layer may reach every earlier token of the context, however far back. This is the attention of the
original transformer: two tokens are one step apart at any distance.

Formula: query i may look at key j wherever the mask allows it.

What it costs: scores grow with the square of the context.

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
