"""No accumulation: the whole batch goes through the model at once.

What it is: one forward and one backward pass a step. The activations of all samples are in memory together, from the
moment the forward pass makes them until the backward pass has used them. Every matrix product is as large as the batch
allows, which is what keeps a fast device busy.

Formula: g = ∇ loss(batch)

What it costs: activations in proportion to the batch. Nothing else is as fast: cutting the batch into pieces means
smaller matrix products, and more of them, for the same result. As long as a device is not busy with the batch that it
has, a larger batch costs hardly any more time per step; once it is, time grows in proportion, and the batch size is a
question of how training goes and no longer of speed.

When to choose it: whenever the batch fits into memory. If it fits only just, look first at what fills the memory. With
a large vocabulary that may be the logits, which a loss computed in chunks avoids at no cost in the rest of the model;
in deep models it is what the blocks keep, which recompute reduces for about a fifth more work. When not: if the batch
that you want does not fit by any of these means. Then micro-batches give the same gradients from smaller pieces.

A batch that is as large as possible is not always the best one: each doubling saves fewer steps than the one before,
and beyond a size that depends on the task it saves none.

Paper: the baseline of Ott and others, "Scaling Neural Machine Translation" (2018), arXiv:1806.00187; on the size of
batches: McCandlish and others, "An Empirical Model of Large-Batch Training" (2018), arXiv:1812.06162.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.accumulation import Batch
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, config: Config) -> int:
    """One piece."""
    return 1


def reference(options: NoOptions, loss_of: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
    """The loss of the whole batch."""
    return loss_of(batch)


TECHNIQUE = Technique(
    module=__name__,
    slot="accumulation",
    order=0,
    title="No accumulation",
    short="none",
    summary="The whole batch goes through the model at once.",
    paper="Ott et al. 2018, arXiv:1806.00187 (the baseline)",
    guide=Guide(
        choose="the batch fits into memory.",
        avoid="the batch that you want does not fit.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="activations", sign="0", formula="of the whole batch"),),
)
