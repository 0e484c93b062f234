"""No sink: the attention weights of a query add up to one.

What it is: the plain softmax. It shares out one whole weight per query and head, so a head that finds nothing to look
at must nevertheless give everything to some token. Trained models find a way out by themselves: they learn to give it
to a token that every query can see and whose value they keep small, mostly the first one. That token is then called an
attention sink. In an attention map it is the bright column at the left.

As long as it stays in sight, no harm is done. It does harm where a text goes on beyond the context and the first tokens
are dropped, which is how it was noticed; where a sliding window hides the first token from most queries; and where
activations are to be rounded to few bits, since those of the sink grow far beyond all others.

Formula: w = exp(s) / Σ exp(s), the sum over all keys that mask and window leave

What it costs: nothing. It is what every kernel computes, and the fused ones can use their own causal mask.

When to choose it: as the standard, and to repeat nearly any published model. When not: where weight that piles up on
the first token is a nuisance. The learned sink and the off-by-one softmax give it a place of its own within the
softmax; a gate on the attention's output lets a head fall silent after it.

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
