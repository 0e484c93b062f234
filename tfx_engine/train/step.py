"""One optimisation step, and nothing else.

Shapes: B batch, T tokens, V vocabulary (or classes).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from tfx_engine.data.task import IGNORED

Batch = tuple[Tensor, Tensor]  # inputs_BT, targets_BT (or targets_B), int64


@dataclasses.dataclass(frozen=True)
class Training:
    """What a step needs. `schedule`: step (from 0) -> factor on each group's initial learning rate."""

    model: nn.Module
    optimizer: Optimizer
    schedule: Callable[[int], float]
    precision: Callable[[], AbstractContextManager[object]]


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

    `part(name)` is entered around each part of the step; `on_gradients` is called when all gradients are there.
    """
    inputs_BT, targets_BT = batch
    with training.precision():
        with part("forward"):
            logits_BTV = training.model(inputs_BT)
        with part("loss"):
            loss = mean_loss(logits_BTV, targets_BT)
    del logits_BTV
    with part("backward"):
        loss.backward()
    on_gradients()
    with part("optimizer"):
        set_learning_rate(training.optimizer, training.schedule(index))
        training.optimizer.step()
        training.optimizer.zero_grad(set_to_none=True)
    return loss.detach()


def mean_loss(logits_BTV: Tensor, targets_BT: Tensor) -> Tensor:
    """Mean cross-entropy in nats over the targets that count; computed in float32 whatever the model computes in."""
    return F.cross_entropy(logits_BTV.flatten(0, -2).float(), targets_BT.flatten(), ignore_index=IGNORED)


def set_learning_rate(optimizer: Optimizer, factor: float) -> None:
    """Scale every group's initial learning rate by `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor
