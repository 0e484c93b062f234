"""Causal mask: a token looks at itself and at what came before it.

What it is: the mask of language models. Every position predicts its successor, all positions at once, and none can see
the answer: a sample of T tokens gives T questions in a single forward pass. Because no token's vector depends on what
follows it, text can be generated token by token while the keys and values of earlier tokens are kept and never
computed again.

Formula: query i may look at key j where j ≤ i; the scores elsewhere are -∞ before the softmax, so their weight is
exactly zero and no gradient passes there.

What it costs: nothing in parameters. About half of the T × T scores are never needed. Fused kernels know this mask by
name, without a tensor that says it, and skip most of that half; a kernel that takes the mask as a tensor computes the
whole square and throws half of it away. FLOPs are counted for the full square here, as is the custom, so that figures
compare with published ones.

Choose it whenever the model predicts what comes next: text, code, anything that is generated in order. It also tells
the model something about order all by itself, since each token sees a different number of predecessors, which is why
only this mask can do without positions.

Rather not when the whole input is known beforehand and each answer may depend on what follows: then half of the context
is withheld for nothing, and the bidirectional mask fits better. Where only a first part is known as a whole, such as a
question before its answer, there is the prefix mask.

Paper: Vaswani and others, "Attention Is All You Need" (2017), section 3.2.3, arXiv:1706.03762.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.claims import Hides, NoLeak, Shows
from tfx_engine.techniques.mask import Mask
from tfx_engine.techniques.technique import NoOptions, Technique


class CausalMask(Mask):
    """The lower triangle."""

    def allowed(self, tokens: int, device: torch.device | str = "cpu") -> Tensor:
        """bool [T, T]: the lower triangle with the diagonal."""
        return torch.ones(tokens, tokens, dtype=torch.bool, device=device).tril()


def build(options: NoOptions, config: Config) -> Mask:
    """The mask."""
    return CausalMask(is_causal=True)


def reference(tokens: int) -> Tensor:
    """bool [T, T], entry by entry."""
    return torch.tensor([[j <= i for j in range(tokens)] for i in range(tokens)])


TECHNIQUE = Technique(
    module=__name__,
    slot="mask",
    order=0,
    title="Causal mask",
    short="causal",
    summary="A token looks at itself and at what came before it.",
    paper="Vaswani et al. 2017, arXiv:1706.03762",
    guide=Guide(
        choose="the model predicts what comes next: text, code, anything generated token by token.",
        avoid="the whole input is known and each answer may depend on what follows.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="time", sign="-", formula="about half of the scores are skipped by fused kernels"),),
    claims=(Hides(), Shows(), NoLeak()),
)
