"""Some real steps on one batch: what they trained, what moved, and what had a gradient."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from tfx_engine.model.transformer import Transformer
from tfx_engine.techniques.update import watchers_of
from tfx_engine.train.step import Batch, Training, train_step

STEPS = 3
ROUNDED = 1e-6  # share of a weight by which a step must change it, to be sure that it is not rounded away


class Steps(NamedTuple):
    """What some real steps did: parameters by name that are trained, that moved, and that had a gradient.

    `too_small`: those whose gradients a step of ordinary size would round away. `taken`: how many steps.
    """

    trained: set[str]
    moved: set[str]
    had_gradient: set[str]
    too_small: set[str]
    is_tied: bool  # head and embedding are one tensor after them
    numbers: dict[str, int]
    taken: int


def take_steps(training: Training, batch: Batch, draws: bool = False) -> Steps:
    """Some steps on one batch.

    `draws`: something is drawn at random, which may leave a part out in all of them: where one had no gradient, as many
    steps follow in which nothing is drawn.
    """
    model, had_gradient, large = training.model, set(), set()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    names = {p: name for name, p in model.named_parameters()}

    def look(parameter: nn.Parameter) -> None:
        if parameter.grad is not None and parameter.grad.count_nonzero():
            had_gradient.add(names[parameter])
            rate = float(training.optimizer.param_groups[0]["lr"])
            if bool((rate * parameter.grad.abs() > ROUNDED * parameter.detach().abs()).any()):
                large.add(names[parameter])

    def look_at_all() -> None:
        for parameter in model.parameters():
            look(parameter)

    watchers = watchers_of(training.optimizer)
    if watchers is not None:
        watchers.append(look)
    torch.manual_seed(0)
    trained, taken = {name for name, p in model.named_parameters() if p.requires_grad}, 0
    for is_training in (True, False) if draws else (True,):
        if is_training or trained - had_gradient:
            model.train(is_training)
            for step in range(taken, taken + STEPS):
                train_step(training, batch, step, on_gradients=look_at_all)
            taken += STEPS
    model.train()
    return Steps(
        trained=trained,
        moved={name for name, p in model.named_parameters() if not torch.equal(p, before[name])},
        had_gradient=had_gradient, too_small=had_gradient - large, is_tied=is_tied(model),
        numbers={name: p.numel() for name, p in model.named_parameters()}, taken=taken,
    )


def is_tied(model: Transformer) -> bool:
    """Whether head and embedding have one and the same table."""
    head, embedding = getattr(model.head, "weight", None), getattr(model.embedding, "weight", None)
    return head is not None and embedding is not None and head.data_ptr() == embedding.data_ptr()
