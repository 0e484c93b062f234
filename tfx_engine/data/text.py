"""The task `text`: predict the next byte, or the next piece of a word. B batch, T tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tfx_engine.data.bpe import BYTES, encoder_for
from tfx_engine.data.corpus import Corpus, open_corpus
from tfx_engine.data.task import IGNORED, Batch, Task
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import ConfigError, Problem

_MOST_HELD_OUT_BATCHES = 8
_MOST_ENCODED = 64 * 2**20  # bytes of a text that is not taken byte by byte
_SIGNS = str.maketrans({" ": "␣", "\n": "⏎", "\r": "␍", "\t": "⇥"})


@dataclasses.dataclass(frozen=True, eq=False)
class _Tokens:
    """Both parts of a text in tokens, and the bytes that each token of the vocabulary stands for."""

    training: Tensor
    held_out: Tensor
    texts: list[bytes]
    facts: dict[str, Any]


class TextTask(Task):
    """Windows at random places of the corpus; its last part is held out."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        problems = list(check(config))
        if problems:
            raise ConfigError(problems)
        self._config, self._corpus = config, _corpus(config)
        self._held_out_bytes = _held_out_bytes(self._corpus, config)
        self._tokens = _tokens(self._corpus, self._held_out_bytes, config)
        problems = list(_check_length(self._corpus, len(self._tokens.training), len(self._tokens.held_out), config))
        if problems:
            raise ConfigError(problems)
        self._lengths = torch.tensor([len(text) for text in self._tokens.texts])
        fit = len(self._tokens.held_out) // (self.context * self.batch_size)
        self.held_out_batches = min(max(fit, 1), _MOST_HELD_OUT_BATCHES)

    def _make(self, generator: torch.Generator, size: int) -> Batch:
        training = self._tokens.training
        starts_B = torch.randint(len(training) - self.context, (size,), generator=generator)
        return self._windows(training, starts_B)

    def _make_held_out(self, index: int) -> Batch:
        """Windows spread evenly over the held-out part: the same at every evaluation."""
        number = self.held_out_batches * self.batch_size
        places = torch.arange(number) * (len(self._tokens.held_out) - self.context - 1) // max(1, number - 1)
        return self._windows(self._tokens.held_out, places[index :: self.held_out_batches])

    def _windows(self, source: Tensor, starts_B: Tensor) -> Batch:
        window = source[starts_B.unsqueeze(1) + torch.arange(self.context + 1)]
        return window[:, :-1].long(), window[:, 1:].long()

    def facts(self) -> dict[str, Any]:
        """Source, bytes and SHA-256 of the corpus, how much of it is held out, and what makes its tokens."""
        return {
            "source": self._corpus.source, "bytes": len(self._corpus.data), "sha256": self._corpus.sha256,
            "held_out_bytes": self._held_out_bytes, "training_bytes": _training_bytes(self._corpus, self._config),
            **self._tokens.facts,
        }

    def token_text(self, token: int) -> str:
        """Its text, with signs for white space; in hexadecimal where it is no text."""
        if token >= len(self._tokens.texts):
            return f"#{token}"  # of a vocabulary that is larger than it need be
        return text_of(self._tokens.texts[token])

    def bytes_of(self, targets: Tensor) -> int:
        """Bytes of the tokens that count."""
        return int(self._lengths[targets[targets != IGNORED].cpu()].sum())


def text_of(token: bytes) -> str:
    """A label for some bytes: themselves, with signs for white space, or their numbers in hexadecimal."""
    try:
        text = token.decode().translate(_SIGNS)
    except UnicodeDecodeError:  # part of a character
        text = ""
    return text if text.isprintable() and text else f"x{token.hex()}"


def _corpus(config: Config) -> Corpus:
    return open_corpus(config.data.path, config.data.corpus)


def _held_out_bytes(corpus: Corpus, config: Config) -> int:
    return int(len(corpus.data) * config.data.held_out)


def _training_bytes(corpus: Corpus, config: Config) -> int:
    before = len(corpus.data) - _held_out_bytes(corpus, config)
    return before if config.data.train_bytes is None else min(before, config.data.train_bytes)


def _tokens(corpus: Corpus, held_out_bytes: int, config: Config) -> _Tokens:
    """The text in tokens; an encoder learns from the training part alone."""
    split, used = len(corpus.data) - held_out_bytes, _training_bytes(corpus, config)
    if config.data.tokenizer == "bytes":
        everything = torch.from_numpy(corpus.data)
        return _Tokens(everything[:used], everything[split:], [bytes([i]) for i in range(BYTES)],
                       {"tokenizer": "bytes"})
    training = corpus.data[:used].tobytes()
    encoder = encoder_for(training, config.data.bpe_vocab)
    both = [encoder.encode(part).astype(np.int16) for part in (training, corpus.data[split:].tobytes())]
    facts = {"tokenizer": "bpe", "tokens": sum(map(len, both)), "different_tokens": len(encoder.texts),
             "bytes_per_token": (used + held_out_bytes) / sum(map(len, both)), "tokenizer_sha256": encoder.sha256}
    return _Tokens(torch.from_numpy(both[0]), torch.from_numpy(both[1]), encoder.texts, facts)


def check(config: Config) -> Iterator[Problem]:
    """The corpus must be there and hold a window in each of its parts, the vocabulary every token."""
    yield from _check_vocabulary(config)
    if config.data.path is not None and config.data.corpus != "python":
        yield Problem(
            code="two-texts", path="data.corpus", template="is {corpus!r}, but data.path names a text as well.",
            hint_template="Leave one of them out.", args={"corpus": config.data.corpus},
        )
    try:
        corpus = _corpus(config)
    except ConfigError as error:
        yield from error.problems
        return
    if config.data.tokenizer != "bytes" and len(corpus.data) > _MOST_ENCODED:
        yield Problem(
            code="text-too-long", path="data.tokenizer",
            template="'bpe' takes at most {limit} MiB of text, but {source} has {size} MiB.",
            hint_template="Choose 'bytes', or a part of the text.",
            args={"limit": _MOST_ENCODED // 2**20, "source": corpus.source, "size": len(corpus.data) // 2**20},
        )
    held_out = _held_out_bytes(corpus, config)
    yield from _check_length(corpus, _training_bytes(corpus, config), held_out, config)


def _check_vocabulary(config: Config) -> Iterator[Problem]:
    tokens = BYTES if config.data.tokenizer == "bytes" else config.data.bpe_vocab
    if config.vocab < tokens:
        yield Problem(
            code="vocabulary-too-small", path="model.vocab",
            template=("is {vocab}, but text has 256 different bytes." if tokens == BYTES
                      else "is {vocab}, but the tokenizer may make {tokens} different tokens."),
            hint_template="Choose {tokens} or more, or leave it out.", args={"vocab": config.vocab, "tokens": tokens},
        )


def _check_length(corpus: Corpus, training: int, held_out: int, config: Config) -> Iterator[Problem]:
    """Each part must hold a window. `training` and `held_out` in tokens, or where these are not known yet in bytes."""
    shorter = min(training, held_out)
    if shorter < config.model.context + 1:
        yield Problem(
            code="data-too-short", path="model.context",
            template=("is {context} tokens, but {source} has {bytes} bytes, of which {held_out} are held out: "
                      "each part needs {needed}." if training + held_out == len(corpus.data) else
                      "is {context} tokens, but the shorter part of {source} has {shorter}: it needs {needed}."),
            hint_template=("Choose a context of at most {fit}, or more text." if shorter > 2 else "Give more text."),
            args={"context": config.model.context, "source": corpus.source, "bytes": len(corpus.data),
                  "held_out": held_out, "needed": config.model.context + 1, "fit": shorter - 1, "shorter": shorter},
        )
