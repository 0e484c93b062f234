"""One optimisation step, and nothing else.

Shapes: B batch, T tokens, D width, V vocabulary (or classes).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer

from tfx_engine.data.task import IGNORED
from tfx_engine.model.transformer import Transformer
from tfx_engine.techniques.loss import Loss

Batch = tuple[Tensor, Tensor]  # inputs_BT (or frames_BTF), targets_BT (or targets_BTA, or targets_B)
Context = Callable[[], AbstractContextManager[object]]


@dataclasses.dataclass(frozen=True)
class Training:
    """What a step needs. `forward`: inputs_BT -> x_BTD, the model's `hidden`, compiled or not; `nats`: `loss` likewise.

    `schedule`: step (from 0) -> factor on each group's initial learning rate. `pieces`: what the batch is cut into.
    """

    model: Transformer
    forward: Callable[[Tensor], Tensor]
    loss: Loss
    nats: Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
    optimizer: Optimizer
    schedule: Callable[[int], float]
    precision: Context
    scaler: GradScaler | None = None
    offload: Context = nullcontext
    pieces: int = 1
    chosen: Callable[[Iterator[Batch]], Iterable[Batch]] = iter  # of the pieces; not all where a step is only traced
    clip: Callable[[Iterable[nn.Parameter]], None] | None = None

    @property
    def is_compiled(self) -> bool:
        """Whether `forward` is something else than the model's own."""
        return self.forward != self.model.hidden


def no_name(name: str) -> AbstractContextManager[object]:
    """For a step whose parts nobody asks for."""
    return nullcontext()


def nothing() -> None:
    """For a step whose gradients nobody asks for."""


def train_step(
    training: Training,
    batch: Batch,
    index: int,
    part: Callable[[str], AbstractContextManager[object]] = no_name,
    on_gradients: Callable[[], None] = nothing,
) -> Tensor:
    """Do step `index` (from 0) and return its mean loss in nats, detached and on the device: nothing here waits for it.

    `part(name)` is entered around each part of the step; `on_gradients` is called when all gradients are there, before
    they are clipped.
    """
    optimizer, scaler = training.optimizer, training.scaler
    set_learning_rate(optimizer, training.schedule(index))  # first: an update within backward uses it
    counted = (batch[1] != IGNORED).sum()
    total = torch.zeros((), device=counted.device)
    for piece in training.chosen(cut(batch, training.pieces)):
        loss, extra = losses(training, piece, counted, part)
        total = total + loss.detach()
        with part("backward"):
            loss = loss if extra is None else loss + extra / training.pieces
            (loss if scaler is None else scaler.scale(loss)).backward()
        del loss, extra
    if scaler is not None:
        scaler.unscale_(optimizer)
    on_gradients()
    with part("optimizer"):
        if training.clip is not None:
            training.clip(training.model.parameters())
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
        optimizer.zero_grad(set_to_none=True)
        training.model.after_step()
    return total


def losses(
    training: Training, piece: Batch, counted: Tensor, part: Callable[[str], AbstractContextManager[object]]
) -> tuple[Tensor, Tensor | None]:
    """(the piece's share of the mean loss, what the model adds to it)."""
    inputs_BT, targets_BT = piece
    with training.precision(), training.offload():
        with part("forward"):
            x_BTD = training.forward(inputs_BT)
        with part("loss"):
            return training.nats(training.model.head, x_BTD, targets_BT, counted), training.model.auxiliary_loss()


def cut(batch: Batch, pieces: int) -> Iterator[Batch]:
    """The batch in `pieces` of about the same number of samples; fewer where it has fewer samples."""
    pieces = min(pieces, len(batch[0]))
    if pieces == 1:
        yield batch
    else:
        yield from zip(batch[0].tensor_split(pieces), batch[1].tensor_split(pieces), strict=True)


def set_learning_rate(optimizer: Optimizer, factor: float) -> None:
    """Scale every group's initial learning rate by `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
