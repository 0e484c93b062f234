"""Slot `placement`: where the norm stands relative to the residual sum. B batch, T tokens, D width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from torch import nn

from tfx_engine.protocol.config import Config
from tfx_engine.techniques.costs import Work


class Parts(NamedTuple):
    """What a block is put together from. `attention` is whatever the slot `mixer` holds."""

    attention: nn.Module
    feedforward: nn.Module
    make_norm: Callable[[], nn.Module]
    make_connection: Callable[[str], nn.Module]  # for the branch of that name


class Placement(Protocol):
    """How a block is put together.

    `norms_per_block` and `branches`, the names of a block's residual connections, are counted for the closed forms.
    `final_norm`: whether a norm stands before the head. Norms before or after the connection see the whole stream.
    """

    final_norm: bool
    norms_per_block: int
    branches: tuple[str, ...]

    def block(self, parts: Parts) -> nn.Module:
        """A module (stream, context) -> stream."""

    def gain(self, name: str) -> float:
        """Factor on the initial numbers of the parameter of that name."""


class TwoBranches:
    """A placement with one branch after the other, whose weights begin as the slot `init` says."""

    final_norm = True
    norms_per_block = 2
    branches: tuple[str, ...] = ("attention", "feedforward")

    def gain(self, name: str) -> float:
        """No change."""
        return 1.0


def norm_after(options: Any, config: Config) -> Work:
    """The `work` of a placement whose branches have a norm at their end, and none at their beginning."""
    return Work(keeps_after=True, reads_raw=True)
