"""No accumulation: the whole batch goes through the model at once.

What it is: one forward and one backward pass a step. The activations of all samples are in memory together.

Formula: g = ∇ loss(batch)

What it costs: activations in proportion to the batch. Nothing else is as fast.

Paper: the baseline of Ott and others, "Scaling Neural Machine Translation" (2018), arXiv:1806.00187.
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
