"""The task `text`: predict the next byte. B batch, T tokens."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from tfx_engine.data.corpus import Corpus, open_corpus
from tfx_engine.data.task import Task
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import ConfigError, Problem

_BYTES = 256
_MOST_HELD_OUT_BATCHES = 8
_LABELS = {ord(" "): "␣", ord("\n"): "⏎", ord("\r"): "␍", ord("\t"): "⇥"}


class TextTask(Task):
    """Windows at random places of the corpus; its last part is held out."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        problems = list(check(config))
        if problems:
            raise ConfigError(problems)
        self._corpus = open_corpus(config.data.path)
        everything = torch.from_numpy(self._corpus.data)
        held_out = _held_out_bytes(self._corpus, config)
        self._training = everything[: len(everything) - held_out]
        self._held_out = everything[len(everything) - held_out :]
        fit = held_out // (self.context * self.batch_size)
        self.held_out_batches = min(max(fit, 1), _MOST_HELD_OUT_BATCHES)

    def _make(self, generator: torch.Generator, size: int) -> tuple[Tensor, Tensor]:
        starts_B = torch.randint(len(self._training) - self.context, (size,), generator=generator)
        return self._windows(self._training, starts_B)

    def _make_held_out(self, index: int) -> tuple[Tensor, Tensor]:
        """Windows spread evenly over the held-out part: the same at every evaluation."""
        number = self.held_out_batches * self.batch_size
        places = torch.arange(number) * (len(self._held_out) - self.context - 1) // max(1, number - 1)
        return self._windows(self._held_out, places[index :: self.held_out_batches])

    def _windows(self, source: Tensor, starts_B: Tensor) -> tuple[Tensor, Tensor]:
        window = source[starts_B.unsqueeze(1) + torch.arange(self.context + 1)]
        return window[:, :-1].long(), window[:, 1:].long()

    def facts(self) -> dict[str, Any]:
        """Source, bytes and SHA-256 of the corpus, and how much of it is held out."""
        return {
            "source": self._corpus.source, "bytes": len(self._corpus.data), "sha256": self._corpus.sha256,
            "held_out_bytes": len(self._held_out),
        }

    def token_text(self, token: int) -> str:
        """The character, a sign for white space, or the byte in hexadecimal."""
        if token in _LABELS:
            return _LABELS[token]
        return chr(token) if 32 < token < 127 else f"x{token:02x}"


def _held_out_bytes(corpus: Corpus, config: Config) -> int:
    return int(len(corpus.data) * config.data.held_out)


def check(config: Config) -> Iterator[Problem]:
    """The corpus must be there and hold a window in each of its parts, the vocabulary every byte."""
    if config.vocab < _BYTES:
        yield Problem(
            code="vocabulary-too-small", path="model.vocab", template="is {vocab}, but text has 256 different bytes.",
            hint_template="Choose 256 or more.", args={"vocab": config.vocab},
        )
    try:
        corpus = open_corpus(config.data.path)
    except ConfigError as error:
        yield from error.problems
        return
    held_out = _held_out_bytes(corpus, config)
    shorter = min(held_out, len(corpus.data) - held_out)
    if shorter < config.model.context + 1:
        yield Problem(
            code="data-too-short", path="model.context",
            template="is {context} tokens, but {source} has {bytes} bytes, of which {held_out} are held out: "
                     "each part needs {needed}.",
            hint_template=("Choose a context of at most {fit}, or more text." if shorter > 2 else "Give more text."),
            args={"context": config.model.context, "source": corpus.source, "bytes": len(corpus.data),
                  "held_out": held_out, "needed": config.model.context + 1, "fit": shorter - 1},
        )
