"""Torch's FlexAttention: found out whether it works here, and given our scores.

B batch, H query heads, G key heads, T queries, S keys, K head width, V value width.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.techniques.aside import once
from tfx_engine.techniques.dispatch import kind_of
from tfx_engine.techniques.kernel import Reach, Scoring, marked

_MISSING = tr_mark("this torch has no FlexAttention")
_UNTRACEABLE = tr_mark("FlexAttention is compiled, and what its compiled form allocates is not known beforehand.")
_NO_TRITON = tr_mark("it is compiled with Triton, which is not installed")


class Untraceable(RuntimeError):
    """What it does to memory cannot be found out without doing it."""


@functools.cache
def _compiled() -> Callable[..., Tensor]:
    from torch.nn.attention.flex_attention import flex_attention

    return torch.compile(flex_attention)


@functools.cache
def flex_refusal(device_kind: str) -> str:
    """Why FlexAttention cannot train on devices of a kind, as far as that is known before; empty where it may.

    On a CUDA device nothing is run: that would take memory of the device before the run begins.
    """
    try:
        from torch.nn.attention.flex_attention import flex_attention
    except ImportError:
        return _MISSING
    if device_kind == "cuda":
        return "" if importlib.util.find_spec("triton") else _NO_TRITON
    probe = torch.zeros(1, 1, 16, 16, device=device_kind, requires_grad=True)
    try:
        flex_attention(probe, probe, probe).sum().backward()
    except Exception as error:  # whatever stops it, it does not work here
        return _in_words(error)
    return ""


class FlexAttention:
    """FlexAttention for one layer; what was compiled and found out is kept."""

    def __init__(self) -> None:
        self._refusals: dict[Hashable, str] = {}
        self._masks: dict[Hashable, Any] = {}

    def refusal(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> str:
        """Why it does not work for inputs of this kind; empty where it does. Tried once for each kind."""
        if torch.compiler.is_compiling():
            return ""
        kind = (kind_of(q_BHTK, k_BGSK, v_BGSV, scoring), scoring.reach)
        if kind not in self._refusals:
            self._refusals[kind] = once(
                lambda: flex_refusal(q_BHTK.device.type) or self._try(q_BHTK, k_BGSK, v_BGSV, scoring)
            )
        return self._refusals[kind]

    def _try(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> str:
        """Forward and backward once with copies: a backward pass that does not compile would end the run."""
        copies = [t.detach().clone().requires_grad_(t.requires_grad) for t in (q_BHTK, k_BGSK, v_BGSV)]
        try:
            q, k, v = copies
            y_BHTV = self(q, k, v, scoring)
            if y_BHTV.requires_grad:
                torch.autograd.grad(y_BHTV, [t for t in copies if t.requires_grad], torch.ones_like(y_BHTV))
        except (torch.OutOfMemoryError, Untraceable):
            raise
        except Exception as error:  # of the compiler, of Triton, of the device
            return _in_words(error)
        return ""

    def __call__(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> Tensor:
        """y_BHTV. Raises `Untraceable` for fake tensors of a card: compiled, it would run on memory that is none."""
        if isinstance(q_BHTK, FakeTensor) and q_BHTK.device.type == "cuda":
            raise Untraceable(_UNTRACEABLE)
        reach = Reach(True, None, True) if scoring.is_causal else scoring.reach
        bias = None if reach is not None and reach.is_all else scoring.bias
        with marked("flex"):
            return _compiled()(
                q_BHTK, k_BGSK, v_BGSV, score_mod=score_rule(scoring.softcap, bias), scale=scoring.scale,
                block_mask=self._mask(reach, q_BHTK, k_BGSK), enable_gqa=q_BHTK.shape[1] != k_BGSK.shape[1],
            )

    def _mask(self, reach: Reach | None, q_BHTK: Tensor, k_BGSK: Tensor) -> Any:
        if reach is None or not (reach.is_causal or reach.window is not None):
            return None
        from torch.nn.attention.flex_attention import create_block_mask

        queries, keys, device = q_BHTK.shape[2], k_BGSK.shape[2], q_BHTK.device
        key = (reach, queries, keys, device)
        if key not in self._masks:
            rule = mask_rule(reach, keys - queries)
            self._masks[key] = once(
                lambda: create_block_mask(rule, None, None, queries, keys, device=device)
            )
        return self._masks[key]


def score_rule(softcap: Callable[[Tensor], Tensor] | None, bias: Tensor | None) -> Any:
    """(score, batch, head, query, key) -> score."""
    if softcap is None and bias is None:
        return None

    def rule(score: Tensor, b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        if softcap is not None:
            score = softcap(score)
        if bias is not None:
            score = score + (bias[i, j] if bias.dim() == 2 else bias[h, i, j])
        return score

    return rule


def mask_rule(reach: Reach, before: int) -> Any:
    """(batch, head, query, key) -> whether it is seen; the first `before` keys are no tokens, and always are."""
    is_causal, window = reach.is_causal, reach.window

    def rule(b: Tensor, h: Tensor, i: Tensor, j: Tensor) -> Tensor:
        place = j - before
        seen = place <= i if is_causal else place <= place
        if window is not None:
            seen = seen & (i - place < window) & (place - i < window)
        return seen | (place < 0)

    return rule


def _in_words(error: Exception) -> str:
    """The first sentence of what torch says."""
    line = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return line.partition(". ")[0].rstrip(".")
