"""Slot `recompute`: which activations are computed again in the backward pass instead of being kept."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor, nn

from tfx_engine.techniques.context import AttentionContext

RECOMPUTE_MARK = "tfx:recompute"  # brackets every recomputation in a profiler's trace


class Recompute(Protocol):
    """How the skeleton runs a block."""

    def __call__(self, index: int, block: nn.Module, x_BTD: Tensor, context: AttentionContext) -> Tensor:
        """What `block(x_BTD, context)` gives, for block number `index` (from 0)."""
