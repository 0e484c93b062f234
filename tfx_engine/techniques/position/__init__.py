"""Slot `position`: how the model knows the order of the tokens.

B batch, H query heads, G key heads, T tokens, K head width, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch._compile import _disable_dynamo

from tfx_engine.techniques.aside import once


class Position(nn.Module):
    """Three places where order can come in; a technique overrides the one that it uses."""

    def prepare(self, device: torch.device, dtype: torch.dtype) -> None:
        """Make what depends on sizes alone, for a model on that device: a compiled one should find it there."""

    def forward(self, x_BTD: Tensor) -> Tensor:
        """What enters the first block, made of the token vectors."""
        return x_BTD

    def rotate(self, q_BHTK: Tensor, k_BGTK: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Queries and keys of a layer (from 0) as the scores see them."""
        return q_BHTK, k_BGTK

    def bias(self, tokens: int, device: torch.device, dtype: torch.dtype) -> Tensor | None:
        """[H, T queries, T keys], to be added to the scores of every layer; None where nothing is.

        `dtype` is float32 or more exact; what a parameter is looked up in may have that parameter's.
        """
        return None


class Positioned(NamedTuple):
    """What the `reference` of a position gives: the results of `forward`, `rotate` and `bias`."""

    x_BTD: Tensor
    q_BHTK: Tensor
    k_BGTK: Tensor
    bias_HTT: Tensor | None


class Tables:
    """Tables of fixed numbers, one row per token: made at the first use for a device and a dtype, and then kept."""

    _most = 8  # a model that has moved, or that sees ever other lengths, does not collect them

    def __init__(self) -> None:
        self._kept: dict[Hashable, Tensor] = {}

    def get(
        self, device: torch.device, dtype: torch.dtype, tokens: int, make: Callable[[], Tensor], more: Hashable = None
    ) -> Tensor:
        """The first `tokens` rows.

        `make` gives a whole table, with rows enough, in float64 on the CPU: the same bits on every device, and not
        every device has float64. `more` tells tables of one module apart.
        """
        key = (device, dtype, more)
        table = self._kept.get(key)
        if table is None or table.shape[0] < tokens:
            table = self._keep(key, make)
        return table[:tokens]

    # A compiled graph may own its tensors, and write over them the next time. This is `torch.compiler.disable`, which
    # loads the whole compiler, a second's work, already where it is named; torch's own optimizers take the late one.
    @_disable_dynamo
    def _keep(self, key: tuple[torch.device, torch.dtype, Hashable], make: Callable[[], Tensor]) -> Tensor:
        if len(self._kept) >= self._most:
            self._kept.clear()
        with torch.inference_mode(False):  # else no gradient could ever pass it
            table = self._kept[key] = once(lambda: make().to(device=key[0], dtype=key[1]))
        return table
