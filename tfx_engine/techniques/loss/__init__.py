"""Slot `loss`: what the training makes small. B batch, T tokens, D width, V vocabulary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

from torch import Tensor, nn

IGNORED = -100  # a target that counts neither in the loss nor in its gradient


class Prediction(NamedTuple):
    """One thing that a head predicts: the target so many places further on, with its weight in the loss.

    A head that answers for whole samples gives [B, D] in the place of x_BTD.
    """

    x_BTD: Tensor  # what `head.project` makes logits of
    shift: int = 0
    weight: float = 1.0


class Loss(Protocol):
    """Nats of a batch, or of a part of it."""

    def __call__(self, head: nn.Module, x_BTD: Tensor, targets_BT: Tensor, counted: Tensor) -> Tensor:
        """The sum over the targets that count, divided by `counted`: how many do in the whole step's batch."""


def predictions(head: nn.Module, x_BTD: Tensor) -> Iterator[Prediction]:
    """What a head predicts: the next token, unless it says otherwise by a method of this name."""
    own = getattr(head, "predictions", None)
    if own is None:
        yield Prediction(x_BTD)
    else:
        yield from own(x_BTD)


def shifted(targets_BT: Tensor, shift: int) -> Tensor:
    """Targets `shift` places further on; what would lie beyond the end is ignored."""
    if shift == 0:
        return targets_BT
    moved_BT = targets_BT.new_full(targets_BT.shape, IGNORED)
    moved_BT[:, :-shift] = targets_BT[:, shift:]
    return moved_BT
