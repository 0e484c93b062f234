"""No norm on queries and keys: scores may grow without bound.

What it is: queries and keys go into their product as the projections made them. That lets a head choose how sharply it
looks: it can make its queries long where one key is meant, and short where many are. But nothing limits it. Both
projections can grow in training, and the scores grow with the product of the two; a softmax over large scores becomes
a hard choice, whose gradients vanish, and the head stays with what it happened to choose.

Formula: score = q · k · scale, q and k as they are

What it costs: nothing. What it may cost is a run: at high learning rates large models were seen to diverge this way.
Weight decay, a warm-up and a moderate rate usually keep scores in bounds; where they do not, the loss jumps after
thousands of calm steps, so that a short run may not show it.

When to choose it: to repeat GPT-2, Llama, Mistral and most others, and where the learning rate is modest: both train
about alike then, and two norms per layer are saved. When not: for large models, high rates and 16-bit formats, or
where rates are to be compared over a wide range. The norm per head is the usual remedy; a soft cap bounds the scores
themselves and forgoes the fused kernels.

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
