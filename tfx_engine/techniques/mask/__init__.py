"""Slot `mask`: which tokens may look at which."""

from __future__ import annotations

import abc
import dataclasses

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Mask(abc.ABC):
    """What attention needs to know about a mask. `is_causal`: the fused kernels' own causal mask says it all."""

    is_causal: bool

    @abc.abstractmethod
    def allowed(self, tokens: int, device: torch.device | str = "cpu") -> Tensor:
        """bool [T queries, T keys]: True where the query may look at the key."""

    def bias(self, tokens: int, device: torch.device) -> Tensor | None:
        """What `scaled_dot_product_attention` takes as `attn_mask`; None where `is_causal` says it all."""
        return None
