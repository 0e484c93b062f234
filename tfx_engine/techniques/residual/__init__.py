"""Slot `residual`: how a branch (attention, feed-forward) joins the stream. B batch, T tokens, D width.

The stream is x_BTD, or several of them, [B, T, N, D]: `enter` makes it, `leave` makes one of it again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

Branch = Callable[[Tensor], Tensor]  # x_BTD -> y_BTD


class Residual(Protocol):
    """What a technique of the slot provides."""

    def connection(self, layer: int, branch: str) -> nn.Module:
        """A module (stream, Branch, skip=1.0) -> stream for a branch of a block (from 0); `skip` scales the stream."""

    def enter(self, x_BTD: Tensor) -> Tensor:
        """The stream before the first block."""

    def leave(self, stream: Tensor) -> Tensor:
        """x_BTD after the last block."""
