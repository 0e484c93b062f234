"""The RMS norm inside of attention, also where autocast makes its input less exact than its weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.techniques.tape import FLOAT, Tape, Value, Weight


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


def rms_memory(tape: Tape, x: Value, width: int, weights: tuple[Weight, ...] = (), is_weighted: bool = True) -> Value:
    """The memory of torch's rms_norm over rows of `width` numbers; on the CPU it is made of simpler operations."""
    rows = FLOAT * (x.numbers // width)
    if tape.device != "cpu":
        return tape.make(x, saves=(x,), extra=rows, weights=weights)
    exact = tape.cast(x, FLOAT)
    normed = tape.make(exact, saves=(exact,), extra=rows, scratch=exact.bytes, back=exact.bytes)
    return tape.cast(tape.by_weight(normed, weights) if is_weighted else normed, x.width)
