"""Attention maps: every layer and head, rows that add up to one, bounded in size, unnoticed by the training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.helpers.training import small_setup
from tfx_engine.measure import attention
from tfx_engine.measure.attention import capture_attention, evaluating


def capture(setup, batch=0, **request):
    return capture_attention(setup.training.model, setup.task.held_out(batch)[0], setup.training.precision(), **request)


def test_every_layer_and_head_is_there_and_every_row_adds_up_to_one():
    maps = capture(small_setup())
    assert maps.layer_numbers == [0, 1] and maps.pool == 1
    for weights in maps.layers:
        assert weights.dtype == np.float16 and weights.shape == (3, 9, 9)
        np.testing.assert_allclose(weights.astype(float).sum(axis=-1), 1, atol=0.01)


def test_a_causal_map_never_looks_ahead_and_a_bidirectional_one_does():
    ahead = np.triu(np.ones((9, 9), bool), k=1)
    assert not capture(small_setup()).layers[0][:, ahead].any()
    assert (capture(small_setup({"mask": "bidirectional"})).layers[0][:, ahead] > 0).all()


def test_the_maps_are_the_softmax_of_q_and_k():
    setup = small_setup()
    maps = capture(setup)
    block = setup.training.model.blocks[0]
    seen = []
    hook = block.get_submodule("attention").register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    tokens = setup.task.held_out(0)[0][:1]
    with evaluating(setup.training.model), torch.no_grad():
        setup.training.model(tokens)
    hook.remove()
    module, x_TD = block.get_submodule("attention"), seen[0][0]
    q_HTK, k_HTK = (f(x_TD).view(9, 3, 5).transpose(0, 1) for f in (module.query, module.key))
    scores = (q_HTK @ k_HTK.transpose(1, 2) / 5**0.5).masked_fill(torch.ones(9, 9).triu(1).bool(), -torch.inf)
    np.testing.assert_allclose(maps.layers[0], scores.softmax(-1).detach().numpy(), atol=1e-3)


def test_the_tokens_of_the_sample_come_along():
    setup = small_setup()
    assert capture(setup).tokens.tolist() == setup.task.held_out(0)[0][0].tolist()


def test_a_long_context_is_pooled_and_a_single_head_is_not(monkeypatch):
    monkeypatch.setattr(attention, "STORED_SIDE", 4)
    setup = small_setup()
    pooled, full = capture(setup), capture(setup, layer=1, head=2)
    assert pooled.pool == 3 and pooled.layers[0].shape == (3, 3, 3)
    assert full.pool == 1 and full.layers[0].shape == (1, 9, 9) and full.layer_numbers == [1] and full.head == 2
    means = full.layers[0][0].astype(float).reshape(3, 3, 3, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(pooled.layers[1][2], means, atol=2e-3)


@pytest.mark.parametrize("mask", ["causal", "bidirectional"])
def test_queries_are_taken_a_few_at_a_time_with_the_same_result(monkeypatch, mask):
    setup = small_setup({"mask": mask})
    at_once = capture(setup)
    monkeypatch.setattr(attention, "_NUMBERS_AT_ONCE", 1)
    np.testing.assert_allclose(capture(setup).layers[1], at_once.layers[1], atol=1e-3)


@pytest.mark.parametrize(("layer", "head"), [(2, 0), (-1, 0), (0, 3)])
def test_a_head_that_does_not_exist_is_refused(layer, head):
    with pytest.raises(ValueError, match="there is no head"):
        capture(small_setup(), layer=layer, head=head)


def test_dropout_and_random_numbers_stay_as_they_were():
    setup = small_setup({"embedding": {"use": "token", "dropout": 0.5}})
    state = torch.get_rng_state()
    capture(setup)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(module.training for module in setup.training.model.modules())


def test_modules_go_back_each_to_its_own_mode():
    model = torch.nn.Sequential(torch.nn.Dropout(), torch.nn.Dropout())
    model[1].eval()
    with evaluating(model):
        assert not model[0].training
    assert model[0].training and not model[1].training
