"""No recompute: every activation that the backward pass needs is kept.

What it is: what torch does by itself. Each operation keeps what its gradient needs, from the moment it runs in the
forward pass until the backward pass has used it. A linear layer keeps its input, a norm its input and two statistics
per token, an activation function its input, fused attention queries, keys, values, its result and one number per query
and head. What nobody needs for a gradient, such as the inputs of an addition, is not kept.

Formula: kept memory grows with layers × batch × tokens × width

What it costs: memory, and no time. A pre-norm block with biases, fused attention and a four-fold GELU feed-forward
keeps about 16 · d numbers per token: 8 · d around attention and norms and 2 · 4d in the feed-forward. The logits come
on top, and with a large vocabulary and few layers they may be more than all blocks together. Attention that writes its
scores out (eager or math, for lack of a fused kernel that can do what is asked) adds heads × tokens numbers per token,
which with long contexts exceeds everything else.

When to choose it: as long as the model fits into memory: nothing is faster, and nothing has to be explained. When not:
if activations are what fills the memory: long contexts, large batches, many layers. Look at the memory chart first.
Activations are the wave that rises in the forward and falls in the backward pass; if it is small beside weights,
gradients and optimizer state, recompute would save little, and another technique is called for.

Paper: the baseline of Chen and others, "Training Deep Nets with Sublinear Memory Cost" (2016), arXiv:1604.06174; what
is kept, counted layer by layer: Korthikanti and others (2022), arXiv:2205.05198.
"""

from __future__ import annotations

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.recompute import Recompute
from tfx_engine.techniques.tape import Tape
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


def memory(tape: Tape, options: NoOptions, layer: int) -> None:
    """Nothing runs again."""


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
    memory=memory,
    effects=(Effect(quantity="activations", sign="0", formula="all of every block"),),
)
