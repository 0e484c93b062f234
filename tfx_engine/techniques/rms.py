"""The RMS norm inside of attention, also where autocast makes its input less exact than its weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class RmsNorm(nn.RMSNorm):
    """torch's, with the weights in the input's dtype: otherwise the fused form cannot be used, and torch says so."""

    def forward(self, x: Tensor) -> Tensor:
        """Over the last dimension."""
        return F.rms_norm(x, self.normalized_shape, self.weight.to(x.dtype), self.eps)


class OffsetRmsNorm(RmsNorm):
    """The same with 1 + weight."""

    def forward(self, x: Tensor) -> Tensor:
        """Over the last dimension."""
        return F.rms_norm(x, self.normalized_shape, (1 + self.weight).to(x.dtype), self.eps)

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """No difference to 1."""
        parameter.zero_()
        return True
