"""The task `induction`: go on with a sequence that repeats, after a number of symbols drawn anew for every sample.

The period lies between 8 and 24 tokens (in a short context at most half of it). What counts is everything after the
first period: there the same symbol has stood before, and what followed it then follows it now. Since the period is
unknown, no fixed distance solves it: one has to look for the symbol and read what came next, which takes two layers of
attention (Olsson and others 2022, arXiv:2209.11895). B batch, T tokens.
"""

from __future__ import annotations

import torch

from tfx_engine.data.symbols import SymbolTask
from tfx_engine.data.task import IGNORED, Batch

_SHORTEST, _LONGEST = 8, 24


class InductionTask(SymbolTask):
    """Go on with a repeating sequence."""

    def _make(self, generator: torch.Generator, size: int) -> Batch:
        longest = max(1, min(_LONGEST, self.context // 2))
        shortest = min(_SHORTEST, longest)
        period_B1 = torch.randint(shortest, longest + 1, (size, 1), generator=generator)
        pattern = torch.randint(self.symbols, (size, longest), generator=generator)
        place_T = torch.arange(self.context + 1)
        tokens = pattern.gather(1, place_T % period_B1)
        targets_BT = tokens[:, 1:].masked_fill(place_T[:-1] < period_B1, IGNORED)
        return tokens[:, :-1].contiguous(), targets_BT
