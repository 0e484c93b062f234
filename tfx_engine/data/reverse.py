"""The task `reverse`: at place t of T (from 0), name the symbol at place T - 1 - t. B batch, T tokens.

Only places of the second half count: there the answer stands before the question, so that a causal model can know it
too. Without positions nobody can: the symbols are random, and which one is meant is a matter of places alone.
"""

from __future__ import annotations

import torch

from tfx_engine.data.symbols import SymbolTask
from tfx_engine.data.task import IGNORED, Batch


class ReverseTask(SymbolTask):
    """Say a random sequence backwards."""

    def _make(self, generator: torch.Generator, size: int) -> Batch:
        inputs_BT = torch.randint(self.symbols, (size, self.context), generator=generator)
        targets_BT = inputs_BT.flip(1)
        targets_BT[:, : (self.context + 1) // 2] = IGNORED  # of an odd number, the middle answers itself
        return inputs_BT, targets_BT
