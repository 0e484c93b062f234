"""Tasks that are made, not read: where attention has something to show. B batch, T tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from tfx_engine.data.task import IGNORED, Task
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.initial import generator_for

_HELD_OUT_BATCHES = 4


class SyntheticTask(Task):
    """Held-out batches are drawn like the others, from a stream of their own."""

    held_out_batches = _HELD_OUT_BATCHES
    name = ""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.symbols = config.data.symbols

    def _make_held_out(self, index: int) -> tuple[Tensor, Tensor]:
        return self._make(generator_for(self.seed, "held out", index), self.batch_size)

    def facts(self) -> dict[str, Any]:
        """The task and its size."""
        return {"source": f"synthetic: {self.name}", "symbols": self.symbols}


class CopyTask(SyntheticTask):
    """A random sequence, then the same again; only the repetition counts.

    With p = ceil(T / 2) symbols the answer always stands p - 1 tokens back, which shows as a diagonal line in the
    attention maps.
    """

    name = "copy"

    def _make(self, generator: torch.Generator, size: int) -> tuple[Tensor, Tensor]:
        period = (self.context + 1) // 2
        pattern = torch.randint(self.symbols, (size, period), generator=generator)
        tokens = pattern.repeat(1, 3)[:, : self.context + 1]
        targets_BT = tokens[:, 1:].clone()
        targets_BT[:, : period - 1] = IGNORED
        return tokens[:, :-1].contiguous(), targets_BT

    def token_text(self, token: int) -> str:
        """The number of the symbol."""
        return str(token)


class RecallTask(SyntheticTask):
    """Pairs of key and value, each key once; then keys alone, to be answered with their values.

    The first n = min(symbols, T / 3) pairs fill 2 n tokens, the rest are questions. The answer never stands in the
    input after its question, so the task is also for models that see everything. Keys are the tokens from 0, values
    those from `symbols`.
    """

    name = "recall"

    def _make(self, generator: torch.Generator, size: int) -> tuple[Tensor, Tensor]:
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
    """The vocabulary must hold the symbols, and the context a question."""
    recall = config.data.task == "recall"
    needed = config.data.symbols * (2 if recall else 1)
    fit = config.vocab // (2 if recall else 1)
    if needed > config.vocab:
        yield Problem(
            code="vocabulary-too-small", path="data.symbols",
            template="is {symbols}: the task {task!r} needs {needed} tokens, but the vocabulary has {vocab}.",
            hint_template=("Choose at most {fit} symbols, or set model.vocab to {needed}." if fit > 1
                           else "Set model.vocab to {needed} or more."),
            args={"symbols": config.data.symbols, "task": config.data.task, "needed": needed, "vocab": config.vocab,
                  "fit": fit},
        )
    if recall and config.model.context < 3:
        yield Problem(
            code="context-too-short", path="model.context",
            template="is {context} tokens, but a key, a value and a question take 3.",
            hint_template="Choose a context of 3 or more.", args={"context": config.model.context},
        )
