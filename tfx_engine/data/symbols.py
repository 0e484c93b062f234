"""What the tasks have in common that draw symbols at random. B batch, T tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfx_engine.data.task import Batch, Task, sha256_of
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.initial import generator_for

_HELD_OUT_BATCHES = 4


class SymbolTask(Task):
    """Held-out batches are drawn like the others, from a stream of their own."""

    held_out_batches = _HELD_OUT_BATCHES

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.symbols = config.data.symbols

    def _make_held_out(self, index: int) -> Batch:
        return self._make(generator_for(self.seed, "held out", index), self.batch_size)

    def facts(self) -> dict[str, Any]:
        """The task, its size, and the hash of its first batch."""
        return {"source": f"drawn: {self.card.name}, the hash is that of the first batch", "symbols": self.symbols,
                "sha256": sha256_of(*self.batch(0))}

    def token_text(self, token: int) -> str:
        """The number of the symbol."""
        return str(token)


def check(config: Config, tokens_per_symbol: int = 1) -> Iterator[Problem]:
    """The vocabulary must hold the symbols."""
    needed = config.data.symbols * tokens_per_symbol
    fit = config.vocab // tokens_per_symbol
    if needed > config.vocab:
        yield Problem(
            code="vocabulary-too-small", path="data.symbols",
            template="is {symbols}: the task {task!r} needs {needed} tokens, but the vocabulary has {vocab}.",
            hint_template=("Choose at most {fit} symbols, or set model.vocab to {needed}." if fit > 1
                           else "Set model.vocab to {needed} or more."),
            args={"symbols": config.data.symbols, "task": config.data.task, "needed": needed, "vocab": config.vocab,
                  "fit": fit},
        )
