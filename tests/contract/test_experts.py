"""The mixture of experts: who works, what balances them, and that every weight has a gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.helpers.tiny import gradients, tiny_config
from tfx_engine.model.assemble import assemble
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.feedforward.mixture_of_experts import MixtureOfExperts
from tfx_engine.train.setup import set_up
from tfx_engine.train.step import train_step


def experts_config(more: dict[str, Any] | None = None, **options: Any) -> Config:
    return tiny_config({"feedforward": {"use": "mixture_of_experts", **options}, **(more or {})})


def experts_of(config: Config) -> MixtureOfExperts:
    return assemble(config, "cpu").blocks[0].feedforward


def batch_of(config: Config, tokens: int = 64) -> Tensor:
    return torch.randn(1, tokens, config.model.width, generator=torch.Generator().manual_seed(0))


def test_each_token_passes_the_chosen_experts_and_no_other() -> None:
    config = experts_config(experts=5, top_k=2)
    module, x_BTD = experts_of(config), batch_of(config)
    seen = [0] * 5
    for e, expert in enumerate(module.experts):
        expert.register_forward_hook(lambda m, given, y, e=e: seen.__setitem__(e, seen[e] + len(given[0])))
    module(x_BTD)
    assert sum(seen) == 2 * 64
    assert torch.equal(module.router.load_E, torch.tensor(seen))


def test_experts_that_no_token_chose_have_gradients_of_zero() -> None:
    config = experts_config(experts=40, top_k=1)
    module = experts_of(config)
    module(batch_of(config, tokens=3)).sum().backward()
    idle = [e for e, load in zip(module.experts, module.router.load_E.tolist(), strict=True) if load == 0]
    assert len(idle) >= 37
    assert all(p.grad is not None and not p.grad.any() for expert in idle for p in expert.parameters())


def test_the_losses_for_balance_are_one_when_all_is_even_and_grow_when_it_is_not() -> None:
    config = experts_config(experts=4, top_k=2, balance_loss=1.0, z_loss=0.0)
    module, x_BTD = experts_of(config), batch_of(config)
    with torch.no_grad():
        module.router.weight.zero_()
        module(x_BTD)
    assert module.router.auxiliary is None, "a pass without gradients is no training"
    module(x_BTD)
    assert module.router.auxiliary.item() == pytest.approx(1.0)
    with torch.no_grad():
        module.router.weight[:2] = 30 * x_BTD.mean(dim=(0, 1))
    module(x_BTD.abs() * x_BTD.mean(dim=(0, 1)).sign())
    assert module.router.auxiliary.item() == pytest.approx(2.0, abs=0.1)


def test_the_z_loss_is_the_mean_square_of_the_log_of_the_sum() -> None:
    config = experts_config(experts=4, balance_loss=0.0, z_loss=1.0)
    module = experts_of(config)
    with torch.no_grad():
        module.router.weight.zero_()
    module(batch_of(config))
    assert module.router.auxiliary.item() == pytest.approx(torch.tensor(4.0).log().square().item())


def test_an_auxiliary_loss_is_part_of_what_is_trained_and_not_of_what_is_shown() -> None:
    found = []
    for weight in (0.0, 10.0):
        setup = set_up(experts_config(balance_loss=weight, z_loss=0.0), torch.device("cpu"))
        model, taken = setup.training.model, {}

        def take(taken: dict[str, Tensor] = taken, model: torch.nn.Module = model) -> None:
            taken.update(gradients(model))

        loss = train_step(setup.training, setup.task.batch(0), 0, on_gradients=take)
        found.append((loss, taken))
        assert model.auxiliary_loss() is None, "nothing of a step is kept after it"
    (plain, without), (shown, balanced) = found
    assert torch.equal(plain, shown)
    router = "blocks.0.feedforward.router.weight"
    assert not torch.allclose(without[router], balanced[router])


def test_in_pieces_the_auxiliary_loss_counts_as_the_mean_over_the_pieces() -> None:
    found = []
    for more in ({}, {"accumulation": {"use": "micro_batches", "pieces": 2}}):
        setup = set_up(experts_config(more, balance_loss=10.0, z_loss=1.0), torch.device("cpu"))
        half, model, taken = setup.task.batch(0), setup.training.model, {}

        def take(taken: dict[str, Tensor] = taken, model: torch.nn.Module = model) -> None:
            taken.update(gradients(model))

        alike = tuple(torch.cat([x, x]) for x in half)  # so that each piece is as the whole batch
        train_step(setup.training, alike, 0, on_gradients=take)
        found.append(taken)
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("recompute", ["none", "every_block"])
def test_a_bias_evens_out_the_choice_without_any_loss(recompute: str) -> None:
    options = {"experts": 4, "top_k": 1, "balance_loss": 0.0, "z_loss": 0.0, "balance_rate": 0.02}
    config = experts_config({"recompute": recompute}, **options)
    setup = set_up(config, torch.device("cpu"))
    model = setup.training.model
    router = model.blocks[0].feedforward.router
    router.weight.requires_grad_(False)
    loads = []
    router.register_forward_hook(lambda m, given, y: loads.append(y[1].flatten().bincount(minlength=4)))
    for step in range(60):
        train_step(setup.training, setup.task.batch(step % 4), step)
    first, last = (torch.stack(part).sum(dim=0).float() for part in (loads[:4], loads[-8:]))
    assert (last.std() / last.mean()) < 0.6 * (first.std() / first.mean())
    assert router.votes_E.abs().max() <= 60 and router.votes_E.any()


def test_the_bias_changes_who_is_chosen_and_not_what_they_count() -> None:
    config = experts_config(experts=3, top_k=1, normalise=False, balance_rate=1.0)
    module, x_SD = experts_of(config), batch_of(config)[0]
    module.router.votes_E.copy_(torch.tensor([0, 2, 0]))
    weights_SK, experts_SK = module.router(x_SD)
    assert (experts_SK == 1).all()
    probabilities = (x_SD @ module.router.weight.T).softmax(dim=-1)
    torch.testing.assert_close(weights_SK[:, 0], probabilities[:, 1])


@pytest.mark.parametrize("recompute", ["none", "every_block"])
def test_a_step_is_the_same_twice_and_recompute_changes_no_bit(recompute: str) -> None:
    results = []
    for again in ("none", recompute):
        setup = set_up(experts_config({"recompute": again}, shared=1, balance_rate=0.001), torch.device("cpu"))
        for step in range(3):
            train_step(setup.training, setup.task.batch(step), step)
        results.append(setup.training.model.state_dict())
    one, other = results
    assert one.keys() == other.keys() and any("votes_E" in name for name in one)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_adapters_adapt_the_experts_and_leave_the_router_alone() -> None:
    adapter = {"use": "lora", "targets": ["feedforward"]}
    model = assemble(experts_config({"adapter": adapter}, experts=3, shared=1), "cpu")
    adapted = {n.rpartition(".adapter_")[0] for n, p in model.named_parameters() if p.requires_grad}
    places = ("experts.0", "experts.1", "experts.2", "shared")
    wanted = {f"blocks.{i}.feedforward.{x}.{part}" for i in range(2) for x in places for part in ("gate", "up", "down")}
    assert adapted == wanted


def test_no_more_experts_can_be_chosen_than_there_are() -> None:
    (problem,) = validate(experts_config(experts=2, top_k=3))
    assert problem.path == "techniques.feedforward.top_k" and "there are 2 experts" in problem.message


def test_the_counts_of_the_bias_are_exact_in_any_number_format() -> None:
    module = experts_of(experts_config(balance_rate=0.001)).to(torch.bfloat16)
    assert module.router.votes_E.dtype == torch.int64
    assert module(torch.randn(1, 5, 7, dtype=torch.bfloat16)).dtype == torch.bfloat16
