"""The task `recall`: pairs of key and value, each key once; then keys alone, to be answered with their values.

The first n = min(symbols, T / 3) pairs fill 2 n tokens, the rest are questions. The answer never stands in the input
after its question, so the task is also for models that see everything. Keys are the tokens from 0, values those from
`symbols`. B batch, T tokens.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch

from tfx_engine.data import symbols
from tfx_engine.data.symbols import SymbolTask
from tfx_engine.data.task import IGNORED, Batch
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import Problem


class RecallTask(SymbolTask):
    """Look up the value of a key seen before."""

    def _make(self, generator: torch.Generator, size: int) -> Batch:
        pairs = min(self.symbols, self.context // 3)
        questions = self.context - 2 * pairs
        keys = torch.rand(size, self.symbols, generator=generator).argsort(dim=1)[:, :pairs]
        values = torch.randint(self.symbols, (size, pairs), generator=generator) + self.symbols
        asked = torch.randint(pairs, (size, questions), generator=generator)
        facts = torch.stack([keys, values], dim=2).view(size, 2 * pairs)
        inputs_BT = torch.cat([facts, keys.gather(1, asked)], dim=1)
        targets_BT = torch.full_like(inputs_BT, IGNORED)
        targets_BT[:, 2 * pairs :] = values.gather(1, asked)
        return inputs_BT, targets_BT

    def token_text(self, token: int) -> str:
        """k and the number of the key, or v and the number of the value."""
        return f"k{token}" if token < self.symbols else f"v{token - self.symbols}"


def check(config: Config) -> Iterator[Problem]:
    """The vocabulary must hold keys and values, and the context a question."""
    yield from symbols.check(config, tokens_per_symbol=2)
    if config.model.context < 3:
        yield Problem(
            code="context-too-short", path="model.context",
            template="is {context} tokens, but a key, a value and a question take 3.",
            hint_template="Choose a context of 3 or more.", args={"context": config.model.context},
        )
