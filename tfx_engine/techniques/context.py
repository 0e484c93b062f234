"""What every attention layer of one forward pass shares: the mask and the positions. B batch, H heads, T tokens.

One is made for each forward pass, so what is computed here lives no longer than that pass and its gradients.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tfx_engine.techniques.mask import Mask
from tfx_engine.techniques.position import Position


class AttentionContext:
    """`mask` and `position` of the model, and what layers would otherwise compute again and again."""

    def __init__(self, mask: Mask, position: Position) -> None:
        self.mask, self.position = mask, position
        self._allowed: dict[tuple[int, int | None], Tensor] = {}
        self._bias: Tensor | None = None

    def allowed(self, tokens: int, device: torch.device, window: int | None = None) -> Tensor:
        """bool [T queries, T keys]: what the mask allows, of that the keys nearer than `window` tokens."""
        key = (tokens, window)
        if key not in self._allowed:
            allowed_TT = self.mask.allowed(tokens, device)
            if window is not None:
                place_T = torch.arange(tokens, device=device)
                allowed_TT = allowed_TT & ((place_T[:, None] - place_T[None, :]).abs() < window)
            self._allowed[key] = allowed_TT
        return self._allowed[key]

    def bias(self, q_BHTK: Tensor) -> Tensor | None:
        """What the positions add to the scores, [H, T, T] in the queries' dtype; None where they add nothing."""
        if self._bias is None:
            self._bias = self.position.bias(q_BHTK.shape[1], q_BHTK.shape[2], q_BHTK.device)
        return None if self._bias is None else self._bias.to(q_BHTK.dtype)
