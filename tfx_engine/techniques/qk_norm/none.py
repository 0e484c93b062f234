"""No norm on queries and keys: scores may grow without bound.

What it is: queries and keys go into their product as the projections made them. Their size is free to grow in
training, and with it the scores: a softmax over large scores becomes a hard choice, whose gradients vanish.

Formula: q, k as they are

What it costs: nothing. At high learning rates large models were seen to diverge this way.

Paper: the baseline of Henry and others, "Query-Key Normalization for Transformers" (2020), arXiv:2010.04245.
"""

from __future__ import annotations

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.scores import HeadShape
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, config: Config, shape: HeadShape) -> None:
    """No norm."""
    return None


def reference(module: None, q_BHTK: Tensor, k_BGTK: Tensor) -> tuple[Tensor, Tensor]:
    """Both as they are."""
    return q_BHTK, k_BGTK


TECHNIQUE = Technique(
    module=__name__,
    slot="qk_norm",
    order=0,
    title="No query-key norm",
    short="none",
    summary="Queries and keys go into their product as they are.",
    paper="Henry et al. 2020, arXiv:2010.04245 (the baseline)",
    guide=Guide(
        choose="you want the plain attention, or another bound on the scores is in use.",
        avoid="the learning rate is high or the model large, and scores grow until training breaks.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="parameters", sign="0", formula="0"),),
)
