"""No recompute: every activation that the backward pass needs is kept.

What it is: what torch does by itself. Each operation keeps what its gradient needs, until the backward pass has used
it.

Formula: kept memory grows with layers × batch × tokens × width.

What it costs: memory, and no time. A block with four-fold GELU feed-forward keeps about 16 · d numbers per token.

Paper: the baseline of Chen and others, "Training Deep Nets with Sublinear Memory Cost" (2016), arXiv:1604.06174.
"""

from __future__ import annotations

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.recompute import Recompute
from tfx_engine.techniques.technique import NoOptions, Technique


def run_block(index: int, block: nn.Module, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """The block as it is."""
    return block(x_BTD, context)


def build(options: NoOptions, config: Config) -> Recompute:
    """The plain way to run a block."""
    return run_block


def reference(block: nn.Module, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """The block as it is."""
    return block(x_BTD, context)


TECHNIQUE = Technique(
    module=__name__,
    slot="recompute",
    order=0,
    title="No recompute",
    short="keep all",
    summary="Every activation that the backward pass needs is kept.",
    paper="Chen et al. 2016, arXiv:1604.06174 (the baseline)",
    guide=Guide(
        choose="the model fits into memory: nothing is faster.",
        avoid="activations are what fills the memory: long contexts, large batches, many layers.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="activations", sign="0", formula="all of every block"),),
)
