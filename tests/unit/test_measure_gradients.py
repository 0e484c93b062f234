"""Norms by layer in a few fused calls say the same as a slow loop over the parameters."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.helpers.tiny import loss_of
from tests.helpers.training import small_setup
from tfx_engine.measure.gradients import LayerNorms, UpdateRatio, global_norm
from tfx_engine.train.step import train_step


def norms_of(setup) -> LayerNorms:
    return LayerNorms(setup.training.model, setup.layer_of, len(setup.layer_names))


def backward(setup) -> None:
    loss_of(setup.training.model, *setup.task.batch(0)).backward()


def slowly(setup, tensor_of) -> list[float]:
    squares = [math.nan] * len(setup.layer_names)
    for name, p in setup.training.model.named_parameters():
        tensor = tensor_of(p)
        if tensor is not None:
            layer = setup.layer_of[name]
            so_far = 0.0 if math.isnan(squares[layer]) else squares[layer]
            squares[layer] = so_far + tensor.double().square().sum().item()
    return [math.sqrt(square) for square in squares]


@pytest.mark.parametrize("techniques", [{}, {"head": "untied"}, {"position": "learned", "placement": "post_norm"}])
def test_gradient_norms_by_layer_are_those_of_a_loop(techniques):
    setup = small_setup(techniques)
    backward(setup)
    found = norms_of(setup).of_gradients().numpy()
    np.testing.assert_allclose(found, slowly(setup, lambda p: p.grad), rtol=1e-5)


def test_the_global_norm_agrees_with_torch_and_with_the_layers():
    setup = small_setup()
    backward(setup)
    found = global_norm(norms_of(setup).of_gradients().numpy())
    gradients = [p.grad for p in setup.training.model.parameters()]
    assert found == pytest.approx(torch.nn.utils.get_total_norm(gradients).item())


def test_a_layer_without_gradients_is_missing_and_not_zero():
    setup = small_setup({"adapter": {"use": "lora", "rank": 2, "targets": ["query"]}})
    backward(setup)
    found = norms_of(setup).of_gradients().numpy()
    has_adapter = {setup.layer_of[n] for n, p in setup.training.model.named_parameters() if p.requires_grad}
    assert [math.isnan(value) for value in found] == [layer not in has_adapter for layer in range(len(found))]
    assert not math.isnan(global_norm(found))


def test_no_gradient_at_all_has_no_norm():
    setup = small_setup()
    assert math.isnan(global_norm(norms_of(setup).of_gradients().numpy()))


def test_sixteen_bit_gradients_are_summed_in_float32():
    model = torch.nn.Linear(300, 300, bias=False).to(torch.bfloat16)
    model.weight.grad = torch.full_like(model.weight, 1.0)
    assert LayerNorms(model, {"weight": 0}, 1).of_gradients().item() == 300.0


def test_the_update_ratio_is_that_of_the_weights_before_and_after():
    setup = small_setup(run={"warmup_steps": 0})
    update = UpdateRatio(norms_of(setup))
    old = {name: p.detach().clone() for name, p in setup.training.model.named_parameters()}
    update.before()
    train_step(setup.training, setup.task.batch(0), 0)
    update_L, weight_L = update.after()
    name_of = {id(p): name for name, p in setup.training.model.named_parameters()}
    np.testing.assert_allclose(update_L, slowly(setup, lambda p: p.detach() - old[name_of[id(p)]]), rtol=1e-4)
    np.testing.assert_allclose(weight_L, slowly(setup, lambda p: old[name_of[id(p)]]), rtol=1e-5)


def test_taking_the_update_ratio_changes_nothing_in_the_training():
    plain, watched = small_setup(), small_setup()
    update = UpdateRatio(norms_of(watched))
    for index in range(3):
        loss = train_step(plain.training, plain.task.batch(index), index)
        update.before()
        assert torch.equal(train_step(watched.training, watched.task.batch(index), index), loss)
        update.after()
