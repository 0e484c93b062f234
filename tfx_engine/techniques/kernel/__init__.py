"""Slot `kernel`: the code that turns queries, keys and values into what attention read.

B batch, H query heads, G key heads, T queries, S keys, K head width, V value width.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import torch
from torch import Tensor
from torch.profiler import record_function

MARK = "tfx attention kernel: "  # what our own kernels are called in a profiler's trace
COMPILED = "compiled"  # the compiler decides
UNKNOWN = "unknown"  # torch took a kernel and does not say which


@dataclasses.dataclass(frozen=True)
class Reach:
    """What the mask and the window forbid, by name, for kernels that skip it: keys before the first query are all seen.

    Query i sees key j where j <= i if `is_causal`, and |i - j| < `window` if there is one. `is_all`: the bias says
    nothing else.
    """

    is_causal: bool
    window: int | None
    is_all: bool


@dataclasses.dataclass(frozen=True)
class Scoring:
    """How the scores are made: softcap(q · k * scale) + bias, and which keys count."""

    scale: float
    is_causal: bool = False  # then there is no bias, and as many keys as queries
    bias: Tensor | None = None  # [T, S] or [H, T, S], in the dtype of the queries; -inf forbids a key
    softcap: Callable[[Tensor], Tensor] | None = None
    reach: Reach | None = None  # what of the bias is a mask that has a name


class Kernel(Protocol):
    """One way to compute attention. Each layer has its own."""

    asked: str  # the kernel that was asked for by name; empty where torch may choose
    reason: str  # why the last one that was used is not the one asked for; empty where it is

    def attend(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> tuple[Tensor, str]:
        """(y_BHTV, the name of what was really used).

        Names: "eager", "math", "flash", "efficient", "cudnn", "flex"; or `COMPILED`, `UNKNOWN`.
        """


def marked(name: str) -> AbstractContextManager[object]:
    """Names a kernel of our own in a profiler's trace; costs next to nothing while no profiler runs."""
    if torch.compiler.is_compiling() or not torch.autograd._profiler_enabled():
        return contextlib.nullcontext()
    return record_function(MARK + name)


def eager_attention(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> Tensor:
    """y_BHTV with the whole square of scores: every form of scoring, on every device."""
    with marked("eager"):
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


def plain_attention(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> Tensor:
    """y_BHTV, query head by query head: the `reference` of every kernel."""
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
