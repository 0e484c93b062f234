"""What every attention layer of one forward pass shares: the mask and the positions. B batch, H heads, T tokens.

One is made for each forward pass, so what is computed here lives no longer than that pass and its gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tfx_engine.techniques.aside import aside
from tfx_engine.techniques.mask import Mask
from tfx_engine.techniques.position import Position
from tfx_engine.techniques.ranges import doing


class AttentionContext:
    """`mask` and `position` of the model, and what layers would otherwise compute again and again."""

    def __init__(self, mask: Mask, position: Position, x_BTD: Tensor | None = None) -> None:
        self.mask, self.position = mask, position
        self._allowed: dict[tuple[int, int | None], Tensor] = {}
        self._written: dict[tuple[int, int, int | None, torch.dtype], Tensor] = {}
        self._bias: Tensor | None = None
        if x_BTD is not None:  # now: within a block that runs again its gradient would be looked for in vain
            with doing("position"):
                self._bias = position.bias(x_BTD.shape[1], x_BTD.device, _exact(x_BTD.dtype))

    def allowed(self, tokens: int, device: torch.device, window: int | None = None) -> Tensor:
        """bool [T queries, T keys]: what the mask allows, of that the keys nearer than `window` tokens."""
        key = (tokens, window)
        if key not in self._allowed:
            self._allowed[key] = aside(lambda: self._allow(tokens, device, window))
        return self._allowed[key]

    def _allow(self, tokens: int, device: torch.device, window: int | None) -> Tensor:
        allowed_TT = self.mask.allowed(tokens, device)
        if window is None:
            return allowed_TT
        place_T = torch.arange(tokens, device=device)
        return allowed_TT & ((place_T[:, None] - place_T[None, :]).abs() < window)

    def bias(self, q_BHTK: Tensor) -> Tensor | None:
        """What the positions add to the scores, [H, T, T] in the queries' dtype; None where they add nothing."""
        bias_HTT = self._positions(q_BHTK)
        if bias_HTT is None:
            return None
        several = q_BHTK.shape[1] // bias_HTT.shape[0]  # query heads that an attention has in place of one
        bias_HTT = bias_HTT.to(q_BHTK.dtype)
        return bias_HTT if several == 1 else bias_HTT.repeat_interleave(several, dim=0)

    def is_biased(self, q_BHTK: Tensor) -> bool:
        """Whether the positions add anything to the scores."""
        return self._positions(q_BHTK) is not None

    def written(self, q_BHTK: Tensor, window: int | None = None) -> Tensor:
        """Mask, window and positions in one: what is added to the scores, -inf where a key is forbidden.

        [T, T], or [H, T, T] where positions have a bias: one for all layers of the same window.
        """
        key = (q_BHTK.shape[1], q_BHTK.shape[2], window, q_BHTK.dtype)
        if key not in self._written:
            with doing("mask"):
                self._written[key] = aside(lambda: self._write(q_BHTK, window))
        return self._written[key]

    def _write(self, q_BHTK: Tensor, window: int | None) -> Tensor:
        """By sums alone, which keep nothing for the backward pass."""
        tokens, bias = q_BHTK.shape[2], self.bias(q_BHTK)
        if bias is not None and window is None and self.mask.is_full:
            return bias
        forbidden_TT = ~self.allowed(tokens, q_BHTK.device, window)
        zeros_TT = torch.zeros(tokens, tokens, dtype=q_BHTK.dtype, device=q_BHTK.device)
        added_TT = zeros_TT.masked_fill_(forbidden_TT, -torch.inf)
        return added_TT if bias is None else bias + added_TT

    def _positions(self, q_BHTK: Tensor) -> Tensor | None:
        if self._bias is None:
            with doing("position"):
                self._bias = self.position.bias(q_BHTK.shape[2], q_BHTK.device, _exact(q_BHTK.dtype))
        return self._bias


def _exact(dtype: torch.dtype) -> torch.dtype:
    """At least float32: in 16 bits, places beyond 256 would be rounded."""
    return torch.promote_types(dtype, torch.float32)
