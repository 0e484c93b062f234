"""Slot `placement`: where the norm stands relative to the residual sum. B batch, T tokens, D width."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from torch import nn


class Parts(NamedTuple):
    """What a block is put together from. `attention` is whatever the slot `mixer` holds."""

    attention: nn.Module
    feedforward: nn.Module
    make_norm: Callable[[], nn.Module]
    make_connection: Callable[[str], nn.Module]  # for the branch of that name


class Placement(Protocol):
    """How a block is put together.

    `norms_per_block` are counted for the closed forms. `final_norm`: whether a norm stands before the head.
    """

    final_norm: bool
    norms_per_block: int

    def block(self, parts: Parts) -> nn.Module:
        """A module (stream, context) -> stream."""

    def gain(self, name: str) -> float:
        """Factor on the initial numbers of the parameter of that name."""
