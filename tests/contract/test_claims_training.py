"""What the techniques of the training step are for: they change memory, time or step sizes, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.helpers.tiny import tiny_config
from tests.helpers.training import recorded, small_setup, split_of_step
from tfx_engine.measure.memory_split import MemorySplit
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.protocol.problems import errors_among
from tfx_engine.train.setup import Setup
from tfx_engine.train.step import cut, train_step

SIZES = {"width": 32, "layers": 4, "heads": 2, "head_width": None, "context": 64, "vocab": 64}


def own_peak(split: MemorySplit, category: str) -> int:
    return int(split.category_peak[CATEGORIES.index(category)])


def gradients_of_step(setup: Setup, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of one step, and the gradients as they were before the weights moved."""
    found: dict[str, Tensor] = {}
    hooks = [
        parameter.register_hook(lambda g, n=name: found.__setitem__(n, found.get(n, 0) + g.detach().clone()))
        for name, parameter in setup.training.model.named_parameters() if parameter.requires_grad
    ]
    loss = train_step(setup.training, batch, 0)
    for hook in hooks:
        hook.remove()
    return loss, found


def uneven_batch(setup: Setup) -> tuple[Tensor, Tensor]:
    """Four samples of which the second has a single target that counts, and a model that is bad at just that one."""
    inputs_BT, targets_BT = (x.clone() for x in setup.task.batch(0))
    targets_BT[1, :-1] = -100
    return inputs_BT, targets_BT


@pytest.mark.parametrize("pieces", [2, 3, 4])
def test_micro_batches_give_loss_and_gradients_of_the_whole_batch_whatever_counts_in_them(pieces: int) -> None:
    whole = small_setup(run={"batch": 4})
    cut_up = small_setup({"accumulation": {"use": "micro_batches", "pieces": pieces}}, run={"batch": 4})
    batch = uneven_batch(whole)
    loss, gradients = gradients_of_step(whole, batch)
    same_loss, same_gradients = gradients_of_step(cut_up, batch)
    torch.testing.assert_close(same_loss, loss, rtol=1e-6, atol=1e-6)
    assert gradients.keys() == same_gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(same_gradients[name], gradient, rtol=1e-4, atol=1e-6)


def test_the_mean_of_the_pieces_means_would_be_something_else() -> None:
    setup = small_setup(run={"batch": 4})
    batch, model = uneven_batch(setup), setup.training.model

    def mean(piece: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(model(piece[0]).flatten(0, 1), piece[1].flatten(), ignore_index=-100)

    with torch.no_grad():
        model.embedding.weight.mul_(3)  # losses that differ from sample to sample
        whole, naive = mean(batch), torch.stack([mean(piece) for piece in cut(batch, 4)]).mean()
    assert abs(naive - whole) > 0.02


def test_more_pieces_than_samples_are_as_many_as_there_are_samples() -> None:
    batch = torch.zeros(3, 5), torch.zeros(3, 5)
    assert [len(inputs) for inputs, _ in cut(batch, 5)] == [1, 1, 1]
    assert [len(inputs) for inputs, _ in cut(batch, 2)] == [2, 1]


def test_micro_batches_keep_the_activations_of_one_piece() -> None:
    sections: dict[str, Any] = {"model": SIZES, "run": {"batch": 8}}
    whole = split_of_step(small_setup(**sections), step=2)
    pieces = split_of_step(small_setup({"accumulation": {"use": "micro_batches", "pieces": 4}}, **sections), step=2)
    assert own_peak(pieces, "activations") == pytest.approx(own_peak(whole, "activations") / 4, rel=0.1)
    assert own_peak(pieces, "gradients") == own_peak(whole, "gradients")
    assert sum(pieces.at_peak.values()) == pieces.peak_bytes


@pytest.mark.parametrize(("optimizer", "bytes_per_weight"), [
    ({"use": "sgd", "momentum": 0.0}, 0), ("sgd", 4), ("lion", 4), ("adamw", 8), ("muon", 4.3),
    ({"use": "adamw_8bit", "smallest": 1}, 2.2), ("adafactor", 0.08),
], ids=str)  # fmt: skip
def test_the_memory_split_finds_the_state_that_an_optimizer_keeps(optimizer: Any, bytes_per_weight: float) -> None:
    sizes = {**SIZES, "width": 128, "layers": 3}
    setup = small_setup({"optimizer": optimizer, "position": "none"}, model=sizes, run={"batch": 2})
    split = split_of_step(setup, step=2)
    weights = sum(p.numel() for p in setup.training.model.parameters())
    assert own_peak(split, "optimizer") / weights == pytest.approx(bytes_per_weight, rel=0.15, abs=0.05)
    assert split.timeline[-1, CATEGORIES.index("temporary")] == 0


# -------------------------------------------------------------------------- weights that move within the backward pass

IN_BACKWARD = {"update": "in_backward"}


@pytest.mark.parametrize("techniques", [
    {"optimizer": {"use": "sgd", "momentum": 0.0}}, {"optimizer": "adamw"}, {"optimizer": "muon"},
    {"optimizer": "lion"}, {"optimizer": "adafactor"}, {"optimizer": {"use": "adamw_8bit", "smallest": 1, "block": 8}},
    {"recompute": "every_block", "schedule": "linear"}, {"adapter": "lora"}, {"head": "untied", "schedule": "cosine"},
], ids=str)  # fmt: skip
def test_moving_weights_within_the_backward_pass_changes_no_number_of_training(techniques: dict[str, Any]) -> None:
    usual, passing = small_setup(techniques), small_setup({**techniques, **IN_BACKWARD})
    for index in range(4):
        batch = usual.task.batch(index)
        losses = [train_step(setup.training, batch, index) for setup in (usual, passing)]
        assert torch.equal(*losses)
    for ours, theirs in zip(usual.training.model.parameters(), passing.training.model.parameters(), strict=True):
        assert torch.equal(theirs, ours)


def test_gradients_that_do_not_stay_are_measured_all_the_same() -> None:
    sections: dict[str, Any] = {"run": {"warmup_steps": 1, "measure_steps": 12, "memory_every": 5}}
    usual = recorded(small_setup({"schedule": "linear"}, **sections))
    passing = recorded(small_setup({"schedule": "linear", **IN_BACKWARD}, **sections))
    assert passing.losses == usual.losses
    for ours, theirs in zip(usual.readings, passing.readings, strict=True):
        np.testing.assert_allclose(theirs.layer_grad_norm, ours.layer_grad_norm, rtol=1e-5)
        assert theirs.grad_norm == pytest.approx(ours.grad_norm) and theirs.learning_rate == ours.learning_rate
        assert (theirs.update_ratio is None) == (ours.update_ratio is None)
        assert ours.update_ratio is None or theirs.update_ratio == pytest.approx(ours.update_ratio, rel=1e-4)


@pytest.mark.parametrize("optimizer", ["adamw", {"use": "sgd", "momentum": 0.0}], ids=str)
def test_moving_weights_within_the_backward_pass_keeps_few_gradients_at_a_time(optimizer: Any) -> None:
    sections: dict[str, Any] = {"model": {**SIZES, "width": 128, "context": 8}, "run": {"batch": 1}}
    techniques = {"optimizer": optimizer, "head": "untied"}
    usual = split_of_step(small_setup(techniques, **sections), step=3)
    setup = small_setup({**techniques, **IN_BACKWARD}, **sections)
    passing = split_of_step(setup, step=3)
    weights = 4 * sum(p.numel() for p in setup.training.model.parameters())
    assert own_peak(usual, "gradients") == weights
    assert 0 < own_peak(passing, "gradients") < 0.25 * weights
    assert passing.peak_bytes < usual.peak_bytes - 0.6 * weights
    assert own_peak(passing, "optimizer") == own_peak(usual, "optimizer")
    assert own_peak(passing, "temporary") <= own_peak(usual, "temporary") + weights / 10
    assert sum(passing.at_peak.values()) == passing.peak_bytes
    assert [name for name, _, _ in passing.phases] == ["forward", "loss", "backward", "optimizer"]
    assert setup.training.optimizer.watchers == []


def test_an_update_within_the_backward_pass_refuses_what_needs_all_gradients_at_once() -> None:
    wanted = {"update": "in_backward", "clip": "norm", "accumulation": "micro_batches"}
    _, problems = parse_config({"techniques": wanted})
    assert sorted(problem.args["slot"] for problem in problems) == ["accumulation", "clip"]


def test_an_update_within_the_backward_pass_refuses_loss_scaling() -> None:
    assert not validate(tiny_config(IN_BACKWARD))
    problems = errors_among(validate(tiny_config({**IN_BACKWARD, "precision": "float16_autocast"})))
    assert [problem.path for problem in problems] == ["techniques.update.use"]
