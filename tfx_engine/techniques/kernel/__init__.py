"""Slot `kernel`: the code that turns queries, keys and values into what attention read.

B batch, H query heads, G key heads, T queries, S keys, K head width, V value width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend


@dataclasses.dataclass(frozen=True)
class Scoring:
    """How the scores are made: softcap(q · k * scale) + bias, and which keys count."""

    scale: float
    is_causal: bool = False  # then there is no bias, and as many keys as queries
    bias: Tensor | None = None  # [T, S] or [H, T, S], in the dtype of the queries; -inf forbids a key
    softcap: Callable[[Tensor], Tensor] | None = None


class Kernel(Protocol):
    """One way to compute attention."""

    def attend(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> tuple[Tensor, str]:
        """(y_BHTV, the name of what was really used: "eager", "math", "flash", "efficient", "cudnn", "flex")."""


class NoKernel:
    """Where nothing is computed: only shapes are asked for."""

    def attend(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> tuple[Tensor, str]:
        """Refused."""
        raise NotImplementedError("no attention is to be computed here")


def eager_attention(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> Tensor:
    """y_BHTV with the whole square of scores: every form of scoring, on every device."""
    shared = q_BHTK.shape[1] // k_BGSK.shape[1]
    if shared > 1:
        k_BGSK, v_BGSV = k_BGSK.repeat_interleave(shared, dim=1), v_BGSV.repeat_interleave(shared, dim=1)
    scores_BHTS = q_BHTK @ k_BGSK.transpose(2, 3) * scoring.scale
    if scoring.softcap is not None:
        scores_BHTS = scoring.softcap(scores_BHTS)
    if scoring.bias is not None:
        scores_BHTS = scores_BHTS + scoring.bias
    if scoring.is_causal:
        future = torch.ones(scores_BHTS.shape[-2:], dtype=torch.bool, device=scores_BHTS.device).triu(1)
        scores_BHTS = scores_BHTS.masked_fill(future, -torch.inf)
    exact = torch.promote_types(scores_BHTS.dtype, torch.float32)  # a softmax in 16 bits would not add up to 1
    return scores_BHTS.softmax(dim=-1, dtype=exact).to(v_BGSV.dtype) @ v_BGSV


def dispatched(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> str:
    """The backend that `scaled_dot_product_attention` takes for these inputs under the backends that are enabled."""
    if torch.compiler.is_compiling():
        return "compiled"
    number = torch._fused_sdp_choice(
        q_BHTK, k_BGSK, v_BGSV, scoring.bias, 0.0, scoring.is_causal, scale=scoring.scale,
        enable_gqa=q_BHTK.shape[1] != k_BGSK.shape[1],
    )
    return SDPBackend(number).name.lower().removesuffix("_attention")
