"""Slot `mask`: which tokens may look at which."""

from __future__ import annotations

import abc
import dataclasses

import torch
from torch import Tensor


@dataclasses.dataclass(frozen=True)
class Mask(abc.ABC):
    """What attention needs to know about a mask.

    `is_causal`: it is the triangle that the fused kernels know by name. `is_full`: it forbids nothing. Otherwise
    `seen_by_all` is how many tokens at the beginning those before them see too: a target among them is no question.
    """

    is_causal: bool = False
    is_full: bool = False
    seen_by_all: int = 0

    @abc.abstractmethod
    def allowed(self, tokens: int, device: torch.device | str = "cpu") -> Tensor:
        """bool [T queries, T keys]: True where the query may look at the key."""
