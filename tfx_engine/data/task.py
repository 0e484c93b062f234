"""The contract of a task. B batch, T tokens or frames, F numbers of a frame, A answers at a token.

Shapes of a batch by the task's kind (`protocol.tasks`): language, tokens_BT and targets_BT; answers, tokens_BT and
targets_BTA; classes, frames_BTF (float32) and targets_B. All else is int64; a target of -100 does not count.
"""

from __future__ import annotations

import abc
import hashlib
from typing import Any

import torch
from torch import Tensor

from tfx_engine.protocol.config import Config
from tfx_engine.techniques.catalogue import technique_for
from tfx_engine.techniques.initial import generator_for
from tfx_engine.techniques.loss import IGNORED as IGNORED

Batch = tuple[Tensor, Tensor]  # inputs, targets
_EVALUATED_BATCHES = 2
_MOST_LABELS = 8192


class Task(abc.ABC):
    """A source of batches, the same for the same seed whatever else is configured.

    Only which targets count depends on the mask: one that asks for a token that it can see is no question.
    """

    held_out_batches: int  # how many fixed batches of held-out data there are
    evaluated_batches = _EVALUATED_BATCHES  # so many of them, always the same, make one evaluation

    def __init__(self, config: Config) -> None:
        self.seed, self.batch_size, self.context = config.seed, config.run.batch, config.model.context
        self.vocab, self.card = config.vocab, config.task
        self._given_away = _given_away(config)

    def batch(self, step: int, device: torch.device | str = "cpu") -> Batch:
        """The batch of a step: inputs and targets."""
        return self._asked(self._make(generator_for(self.seed, "data", step), self.batch_size), device)

    def held_out(self, index: int, device: torch.device | str = "cpu") -> Batch:
        """One of the `held_out_batches`, which no training step sees. Raises IndexError beyond them."""
        if not 0 <= index < self.held_out_batches:
            raise IndexError(f"there are {self.held_out_batches} held-out batches, not {index + 1}")
        return self._asked(self._make_held_out(index), device)

    @abc.abstractmethod
    def _make(self, generator: torch.Generator, size: int) -> Batch:
        """A batch of training data on the CPU."""

    @abc.abstractmethod
    def _make_held_out(self, index: int) -> Batch:
        """A batch of held-out data on the CPU."""

    @abc.abstractmethod
    def facts(self) -> dict[str, Any]:
        """What one must know to repeat it: `source` in words, and `sha256` of what is named there."""

    @abc.abstractmethod
    def token_text(self, token: int) -> str:
        """A short label for a token; of a task of the kind `classes`, for a place in the sample."""

    def labels(self) -> list[str] | None:
        """The labels of all tokens (or places); None where they are too many to be kept with a run."""
        count = self.context if self.card.kind == "classes" else self.vocab
        return [self.token_text(token) for token in range(count)] if count <= _MOST_LABELS else None

    def bytes_of(self, targets: Tensor) -> int | None:
        """Bytes of text behind the targets that count; None where the task is not made of text."""
        return None

    def _asked(self, batch: Batch, device: torch.device | str) -> Batch:
        if self._given_away:
            targets_BT = batch[1].clone()
            targets_BT[:, : self._given_away] = IGNORED
            batch = batch[0], targets_BT
        return self._move(batch, device)

    @staticmethod
    def _move(batch: Batch, device: torch.device | str) -> Batch:
        kind = torch.device(device).type
        if kind == "cpu":
            return batch
        if kind == "cuda":  # from pinned memory the copy does not wait for the device
            batch = batch[0].pin_memory(), batch[1].pin_memory()
        return batch[0].to(device, non_blocking=True), batch[1].to(device, non_blocking=True)


def blank_batch(config: Config, device: torch.device) -> Batch:
    """A batch of a configuration's shapes and types, with nothing in it."""
    card, samples = config.task, config.run.batch
    if card.kind == "classes":
        frames_BTF = torch.empty(samples, card.frames, card.features, device=device)
        return frames_BTF, torch.empty(samples, dtype=torch.int64, device=device)
    tokens_BT = torch.empty(samples, config.model.context, dtype=torch.int64, device=device)
    answers = (card.answers,) if card.kind == "answers" else ()
    return tokens_BT, torch.empty(*tokens_BT.shape, *answers, dtype=torch.int64, device=device)


def sha256_of(*tensors: Tensor) -> str:
    """Hash of whole numbers, in hexadecimal: the same on every machine."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(tensor.contiguous().numpy().astype("<i8").tobytes())
    return digest.hexdigest()


def _given_away(config: Config) -> int:
    """How many targets at the beginning are tokens of the input that all those before them see."""
    if not config.task.next_token:
        return 0
    technique, options = technique_for("mask", config.techniques["mask"])
    return max(0, technique.build(options, config).seen_by_all - 1)
