"""Causal mask: a token looks at itself and at what came before it.

What it is: the mask of language models. Every position predicts its successor at once, and none can see the answer.
The fused kernels know this mask by name and skip the half of the scores that it forbids.

Formula: query i may look at key j where j ≤ i; the scores elsewhere are -∞ before the softmax.

What it costs: nothing in parameters. Useful work is about half of a full T × T attention; FLOPs are nevertheless
counted for the full square here, as is the custom, so that figures compare with published ones.

Paper: Vaswani and others, "Attention Is All You Need" (2017), section 3.2.3, arXiv:1706.03762.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
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
)
