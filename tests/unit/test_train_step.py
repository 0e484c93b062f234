"""One optimisation step does what a hand-written one does, to the bit."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from tests.helpers.training import small_setup
from tfx_engine.measure.parts import Parts
from tfx_engine.train.step import train_step


def test_a_step_is_that_of_a_bare_loop():
    ours, bare = small_setup({"schedule": "cosine"}), small_setup({"schedule": "cosine"})
    optimizer, model = bare.training.optimizer, bare.training.model
    rate = optimizer.param_groups[0]["lr"]
    for index in range(4):
        inputs, targets = bare.task.batch(index)
        for group in optimizer.param_groups:
            group["lr"] = rate * bare.training.schedule(index)
        loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten(), ignore_index=-100)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        assert torch.equal(train_step(ours.training, ours.task.batch(index), index), loss.detach())
    for ours_p, bare_p in zip(ours.training.model.parameters(), model.parameters(), strict=True):
        assert torch.equal(ours_p, bare_p)


def test_gradients_are_there_when_asked_for_and_gone_afterwards():
    setup, seen = small_setup(), []
    model = setup.training.model

    def look() -> None:
        seen.append(all(p.grad is not None for p in model.parameters()))

    train_step(setup.training, setup.task.batch(0), 0, on_gradients=look)
    assert seen == [True] and all(p.grad is None for p in model.parameters())


def test_the_parts_are_entered_in_order_and_the_last_one_is_remembered():
    setup, parts, seen = small_setup(), Parts(), []

    def part(name):
        seen.append(name)
        return parts(name)

    train_step(setup.training, setup.task.batch(0), 0, part)
    assert seen == ["forward", "loss", "backward", "optimizer"] and parts.current == "optimizer"
