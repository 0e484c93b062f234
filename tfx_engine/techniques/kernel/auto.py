"""Automatic kernel: torch picks the fastest that fits the device, the sizes and the mask.

What it is: `scaled_dot_product_attention`. It has several implementations of one formula and dispatches to the first
that can do what is asked: a fused one that never writes the square of scores to memory, or the plain one. What was
really used is shown with the run. A soft cap is beyond all of them; then the plain form in torch operations is used.

Formula: y = softmax(q · kᵀ · scale + bias) · v

What it costs: with a fused kernel memory grows with the context, without one with its square.

Paper: Dao and others, "FlashAttention" (2022), arXiv:2205.14135.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.kernel import Kernel, Scoring, dispatched, eager_attention
from tfx_engine.techniques.technique import NoOptions, Technique


class AutomaticKernel:
    """Torch's own choice."""

    def attend(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> tuple[Tensor, str]:
        """y_BHTV, and what torch dispatched to."""
        if scoring.softcap is not None:
            return eager_attention(q_BHTK, k_BGSK, v_BGSV, scoring), "eager"
        y_BHTV = F.scaled_dot_product_attention(
            q_BHTK, k_BGSK, v_BGSV, attn_mask=scoring.bias, is_causal=scoring.is_causal, scale=scoring.scale,
            enable_gqa=q_BHTK.shape[1] != k_BGSK.shape[1],
        )
        return y_BHTV, dispatched(q_BHTK, k_BGSK, v_BGSV, scoring)


def build(options: NoOptions, config: Config) -> Kernel:
    """The kernel."""
    return AutomaticKernel()


def reference(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> Tensor:
    """Query head by query head."""
    shared = q_BHTK.shape[1] // k_BGSK.shape[1]
    heads = []
    for h in range(q_BHTK.shape[1]):
        scores_BTS = scoring.scale * (q_BHTK[:, h] @ k_BGSK[:, h // shared].transpose(1, 2))
        if scoring.softcap is not None:
            scores_BTS = scoring.softcap(scores_BTS)
        if scoring.bias is not None:
            scores_BTS = scores_BTS + (scoring.bias if scoring.bias.dim() == 2 else scoring.bias[h])
        if scoring.is_causal:
            scores_BTS = scores_BTS + torch.full_like(scores_BTS[0], -torch.inf).triu(1)
        heads.append(scores_BTS.softmax(dim=-1) @ v_BGSV[:, h // shared])
    return torch.stack(heads, dim=1)


TECHNIQUE = Technique(
    module=__name__,
    slot="kernel",
    order=0,
    title="Automatic kernel",
    short="auto",
    summary="Torch picks the fastest kernel that fits the device, the sizes and the mask.",
    paper="Dao et al. 2022, arXiv:2205.14135",
    guide=Guide(
        choose="you want speed and no questions.",
        avoid="you compare kernels, or need the same one on every machine.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="activations", sign="-", formula="no square of scores where a fused kernel fits"),),
)
