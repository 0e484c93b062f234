"""Switching one technique leaves everything else as it was; one seed gives one result."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.contract.variants import sizes_for
from tests.helpers.tiny import task_for, tiny_config, train
from tfx_engine.data import make_task
from tfx_engine.model.assemble import assemble
from tfx_engine.techniques.catalogue import discover
from tfx_engine.techniques.counts import placement_of
from tfx_engine.techniques.slots import SLOTS

NAMES = {slot: [name for s, name in discover() if s == slot] for slot in SLOTS}


def variants(*leave: str) -> list[Any]:
    slots = [slot for slot in SLOTS if slot not in leave]
    return [pytest.param(slot, name, id=f"{slot}.{name}") for slot in slots for name in NAMES[slot]]


@pytest.mark.parametrize(("slot", "name"), variants("init"))  # which is meant to change them
def test_switching_one_technique_leaves_all_other_initial_weights_as_they_were(slot: str, name: str) -> None:
    base = {"position": "sinusoidal", "adapter": "none"}
    task = {"task": task_for(slot, name, "recall" if name == "bidirectional" else "copy")}
    sizes = sizes_for(slot, name)
    one = dict(assemble(tiny_config(base, model=sizes), "cpu").named_parameters())
    other = dict(assemble(tiny_config({**base, slot: name}, data=task, model=sizes), "cpu").named_parameters())
    shared = [name for name in one.keys() & other.keys() if one[name].shape == other[name].shape]
    assert len(shared) > 10
    gain = placement_of(tiny_config({**base, slot: name}, data=task)).gain  # what a placement says of its own
    for parameter in shared:
        wanted = (one[parameter] * gain(parameter)).to(other[parameter].dtype)  # some precisions round them
        assert torch.equal(wanted, other[parameter]), parameter


@pytest.mark.parametrize(("slot", "name"), variants())
def test_switching_one_technique_leaves_the_data_as_it_was(slot: str, name: str) -> None:
    usual = "recall" if slot == "mask" else "copy"  # whose targets every mask leaves as they are
    task, sizes = {"task": task_for(slot, name, usual)}, sizes_for(slot, name)
    plain, switched = (make_task(tiny_config(t, data=task, model=sizes)) for t in ({}, {slot: name}))
    for one, other in ((plain.batch(3), switched.batch(3)), (plain.held_out(0), switched.held_out(0))):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_initial_weights_are_normal_zero_and_one_and_differ_from_each_other() -> None:
    config = tiny_config(model={"width": 96, "vocab": 200})
    weights = dict(assemble(config, "cpu").named_parameters())
    for name, weight in weights.items():
        if weight.dim() == 1:
            assert (weight == float("norm.weight" in name)).all(), name
        elif weight.numel() > 5000:
            expected = (0.4 / weight.shape[1]) ** 0.5
            assert weight.std().item() == pytest.approx(expected, rel=0.05) and abs(weight.mean()) < expected / 10, name
    matrices = [w for w in weights.values() if w.dim() == 2]
    assert len({w.flatten()[:8].sum().item() for w in matrices}) == len(matrices)


def test_another_seed_gives_other_weights_and_other_batches() -> None:
    one, other = tiny_config(seed=1), tiny_config(seed=2)
    assert not torch.equal(assemble(one, "cpu").embedding.weight, assemble(other, "cpu").embedding.weight)
    assert not torch.equal(make_task(one).batch(0)[0], make_task(other).batch(0)[0])


def test_assembling_does_not_touch_torchs_own_random_numbers() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    assemble(tiny_config({"adapter": "lora"}), "cpu")
    make_task(tiny_config()).batch(0)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    "techniques",
    [{}, {"adapter": {"use": "lora", "dropout": 0.2}, "optimizer": "sgd"},
     {"precision": "bfloat16_autocast", "recompute": "every_block", "embedding": {"dropout": 0.2}}],
    ids=["defaults", "lora-sgd", "bfloat16-recompute"],
)
def test_two_runs_of_one_seed_are_equal_to_the_bit(techniques: dict) -> None:
    config = tiny_config(techniques, data={"task": "text"}, model={"vocab": 256})
    results = []
    for _ in range(2):
        torch.manual_seed(config.seed)
        model, task = assemble(config, "cpu"), make_task(config)
        losses = train(model, config, [task.batch(step) for step in range(4)])
        results.append((losses, model.state_dict()))
    (losses, weights), (again, weights_again) = results
    assert losses == again
    assert all(torch.equal(weights[name], weights_again[name]) for name in weights)
