"""The task `multi_lag`: at every token, name the symbols 1, 3, 6 and 10 places back, all four at once.

One head of attention looks at one place, or at a mixture of places that cannot be told apart again; so heads are what
this task is about: with the same number of parameters several of them learn what one cannot. Lags that reach before
the beginning do not count. B batch, T tokens, A answers.
"""

from __future__ import annotations

import torch

from tfx_engine.data.symbols import SymbolTask
from tfx_engine.data.task import IGNORED, Batch

LAGS = (1, 3, 6, 10)


class MultiLagTask(SymbolTask):
    """Name the symbols at four distances."""

    def _make(self, generator: torch.Generator, size: int) -> Batch:
        inputs_BT = torch.randint(self.symbols, (size, self.context), generator=generator)
        targets_BTA = torch.full((size, self.context, len(LAGS)), IGNORED)
        for answer, lag in enumerate(LAGS):
            targets_BTA[:, lag:, answer] = inputs_BT[:, : max(0, self.context - lag)]
        return inputs_BT, targets_BTA
