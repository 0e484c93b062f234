"""Slot `position`: how the model knows the order of the tokens.

B batch, H query heads, G key heads, T tokens, K head width, D width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Position(nn.Module):
    """Three places where order can come in; a technique overrides the one that it uses."""

    def forward(self, x_BTD: Tensor) -> Tensor:
        """What enters the first block, made of the token vectors."""
        return x_BTD

    def rotate(self, q_BHTK: Tensor, k_BGTK: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Queries and keys of a layer (from 0) as the scores see them."""
        return q_BHTK, k_BGTK

    def bias(self, tokens: int, device: torch.device) -> Tensor | None:
        """[H, T queries, T keys], to be added to the scores of every layer; None where nothing is."""
        return None


class Positioned(NamedTuple):
    """What the `reference` of a position gives: the results of `forward`, `rotate` and `bias`."""

    x_BTD: Tensor
    q_BHTK: Tensor
    k_BGTK: Tensor
    bias_HTT: Tensor | None
