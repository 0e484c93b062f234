"""What the techniques of the training step are for: they change memory, time or step sizes, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from tests.helpers.training import small_setup, split_of_step
from tfx_engine.measure.memory_split import MemorySplit
from tfx_engine.protocol.metrics import CATEGORIES
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
