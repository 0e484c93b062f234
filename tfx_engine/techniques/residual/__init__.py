"""Slot `residual`: how a branch (attention, feed-forward) joins the stream. B batch, T tokens, D width.

The stream is x_BTD, or several of them, [B, T, N, D]: `enter` makes it, `leave` makes one of it again. Norms that stand
outside a connection see the whole stream, and norm its last dimension.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from torch import Tensor, nn

from tfx_engine.protocol.config import Config
from tfx_engine.techniques.costs import Work
from tfx_engine.techniques.tape import Tape, Value

Branch = Callable[[Tensor], Tensor]  # x_BTD -> y_BTD


class Residual(Protocol):
    """What a technique of the slot provides."""

    def connection(self, layer: int, branch: str) -> nn.Module:
        """A module (stream, Branch, skip=1.0) -> stream for a branch of a block (from 0); `skip` scales the stream."""

    def enter(self, x_BTD: Tensor) -> Tensor:
        """The stream before the first block."""

    def leave(self, stream: Tensor) -> Tensor:
        """x_BTD after the last block."""


class OneStream:
    """What residuals with a single stream share."""

    def enter(self, x_BTD: Tensor) -> Tensor:
        """The input itself."""
        return x_BTD

    def leave(self, stream: Tensor) -> Tensor:
        """The stream itself."""
        return stream


def skipped(x_BTD: Tensor, skip: float) -> Tensor:
    """What of the stream a sum gets."""
    return x_BTD if skip == 1.0 else x_BTD * skip


def keeps_branch(options: Any, config: Config) -> Work:
    """The `work` of a residual that multiplies what a branch found: its output is kept, or what multiplies it."""
    return Work(keeps_after=True)


def scaled_by(tape: Tape, x: Value, skip: float) -> Value:
    """The memory of `skipped`."""
    return x if skip == 1.0 else tape.scaled(x)


def added_scaled(tape: Tape, x: Value, branch: Callable[[Value], Value], skip: float, numbers: int) -> Value:
    """The memory of a sum whose second term is multiplied by `numbers` parameters."""
    y = branch(x)
    tape.slot, before = "residual", tape.slot
    scale = tape.parameter("scale", numbers)
    tape.slot = before
    return tape.make(scaled_by(tape, x, skip), y, saves=(y,) if scale else (), weights=scale, passes=1,
                     back=y.bytes if scale else 0)
