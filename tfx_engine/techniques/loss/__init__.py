"""Slot `loss`: what the training makes small. B batch, T tokens, D width, V vocabulary."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.options import option
from tfx_engine.techniques.tape import FLOAT, RESULT, Tape, Value

IGNORED = -100  # a target that counts neither in the loss nor in its gradient


class Prediction(NamedTuple):
    """One thing that a head predicts: the target so many places further on, with its weight in the loss.

    A head that answers for whole samples gives [B, D] in the place of x_BTD.
    """

    x_BTD: Tensor  # what `project` makes logits of
    shift: int = 0
    weight: float = 1.0
    head: nn.Module | None = None  # whose `project` that is, where it is not the head itself


class Loss(Protocol):
    """Nats of a batch, or of a part of it. `implementation`: what computes them, in words.

    `is_one_graph`: it has nothing that a compiler must stop at.
    """

    @property
    def implementation(self) -> str: ...

    @property
    def is_one_graph(self) -> bool: ...

    def __call__(self, head: nn.Module, x_BTD: Tensor, targets_BT: Tensor, counted: Tensor) -> Tensor:
        """The sum over the targets that count, divided by `counted`: how many do in the whole step's batch."""


@dataclasses.dataclass(frozen=True)
class LossOptions:
    """What can be chosen for any cross-entropy."""

    label_smoothing: float = option(
        0.0, kind="float", label="label smoothing", low=0.0, high=0.9,
        help="Share of the target that is spread over all tokens, ε.",
    )
    z_loss: float = option(
        0.0, kind="float", label="z-loss", low=0.0, high=1.0,
        help="Weight of the squared logarithm of the softmax's denominator, c. PaLM uses 1e-4.",
    )


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


def sum_of_nats(logits: Tensor, targets: Tensor, options: LossOptions) -> Tensor:
    """Over the targets that count, computed in float32 or better whatever the model computes in."""
    exact = torch.promote_types(logits.dtype, torch.float32)
    flat, targets = logits.flatten(0, -2).to(exact), targets.flatten()
    nats = F.cross_entropy(
        flat, targets, ignore_index=IGNORED, reduction="sum", label_smoothing=options.label_smoothing
    )
    if options.z_loss:
        nats = nats + options.z_loss * (flat.logsumexp(dim=-1).square() * (targets != IGNORED)).sum()
    return nats


def reference_of(options: LossOptions, head: nn.Module, x_BTD: Tensor, targets_BT: Tensor) -> Tensor:
    """The mean over the targets that count, one by one."""
    losses = []
    for logits_V, target in zip(head(x_BTD).flatten(0, -2), targets_BT.flatten().tolist(), strict=True):
        if target != IGNORED:
            log_z = logits_V.exp().sum().log()
            nats_V = log_z - logits_V
            smoothed = (1 - options.label_smoothing) * nats_V[target] + options.label_smoothing * nats_V.mean()
            losses.append(smoothed + options.z_loss * log_z**2)
    return torch.stack(losses).mean()


def nats_memory(tape: Tape, options: LossOptions, logits: Value, rows: int | None = None) -> Value:
    """The memory of `sum_of_nats`: logarithms of the softmax are kept, as large as the logits. `rows`: of these; every
    token's unless it is said."""
    exact = tape.cast(logits, max(FLOAT, logits.width))
    logs = tape.make(exact, saves=(RESULT,))
    nats = tape.make(logs, numbers=1, saves=(logs,))
    if options.label_smoothing:
        nats = tape.add(nats, tape.make(logs, numbers=1))
    if options.z_loss:
        rows = tape.tokens if rows is None else rows
        sums = tape.make(exact, numbers=rows, saves=(exact, RESULT), back=2 * exact.bytes)
        nats = tape.add(nats, tape.make(sums, numbers=1, saves=(sums,)))
    return nats
