"""No sink: the attention weights of a query add up to one.

What it is: the plain softmax. A head that finds nothing to look at must nevertheless give its whole weight to some
token; trained models often use the first one for that, which is then called an attention sink.

Formula: w = exp(s) / Σ exp(s)

What it costs: nothing.

Paper: the baseline of Xiao and others, "Efficient Streaming Language Models with Attention Sinks" (2023),
arXiv:2309.17453.
"""

from __future__ import annotations

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, config: Config, heads: int) -> None:
    """No sink."""
    return None


def reference(module: None, scores_HTS: Tensor) -> Tensor:
    """The plain softmax [H, T, S]."""
    return scores_HTS.exp() / scores_HTS.exp().sum(dim=-1, keepdim=True)


TECHNIQUE = Technique(
    module=__name__,
    slot="sink",
    order=0,
    title="No sink",
    short="none",
    summary="The attention weights of a query add up to one.",
    paper="Xiao et al. 2023, arXiv:2309.17453 (the baseline)",
    guide=Guide(
        choose="you want the plain softmax and the fused kernels' own causal mask.",
        avoid="heads pile their weight on the first token, or the start of the context will be cut off.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="parameters", sign="0", formula="0"),),
)
