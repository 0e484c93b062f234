"""The task `copy`: a random sequence, then the same again; only the repetition counts. B batch, T tokens.

With p = ceil(T / 2) symbols the answer always stands p - 1 tokens back, which shows as a diagonal line in the attention
maps.
"""

from __future__ import annotations

import torch

from tfx_engine.data.symbols import SymbolTask
from tfx_engine.data.task import IGNORED, Batch


class CopyTask(SymbolTask):
    """Repeat a random sequence."""

    def _make(self, generator: torch.Generator, size: int) -> Batch:
        period = (self.context + 1) // 2
        pattern = torch.randint(self.symbols, (size, period), generator=generator)
        tokens = pattern.repeat(1, 3)[:, : self.context + 1]
        targets_BT = tokens[:, 1:].clone()
        targets_BT[:, : period - 1] = IGNORED
        return tokens[:, :-1].contiguous(), targets_BT
