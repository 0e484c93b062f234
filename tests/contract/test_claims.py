"""What each technique is for, seen in the model as it is assembled."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from tests.helpers.tiny import gradients, loss_of, tiny_config, train
from tfx_engine.data import make_task
from tfx_engine.model.assemble import assemble, make_adapter, make_optimizer, make_precision
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.adapter import is_adapter
from tfx_engine.techniques.recompute import RECOMPUTE_MARK

POSITIONS = ("none", "sinusoidal", "learned")


def tokens_for(config: Config) -> torch.Tensor:
    return torch.randint(config.vocab, (2, config.model.context), generator=torch.Generator().manual_seed(0))


def trained_gradients(config: Config) -> dict[str, torch.Tensor]:
    model = assemble(config, "cpu")
    loss_of(model, *make_task(config).batch(0)).backward()
    return gradients(model)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("placement", ["pre_norm", "post_norm"])
def test_a_causal_model_does_not_see_the_future(position: str, placement: str) -> None:
    config = tiny_config({"position": position, "placement": placement})
    model, tokens = assemble(config, "cpu"), tokens_for(config)
    changed = tokens.clone()
    changed[:, 5:] = (changed[:, 5:] + 1) % config.vocab
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    torch.testing.assert_close(before[:, :5], after[:, :5], rtol=0, atol=1e-6)
    assert not torch.allclose(before[:, 5:], after[:, 5:])


def test_a_bidirectional_model_sees_the_future() -> None:
    config = tiny_config({"mask": "bidirectional"}, data={"task": "recall"})
    model, tokens = assemble(config, "cpu"), tokens_for(config)
    changed = tokens.clone()
    changed[:, -1] = (changed[:, -1] + 1) % config.vocab
    with torch.no_grad():
        assert not torch.allclose(model(tokens)[:, 0], model(changed)[:, 0])


@pytest.mark.parametrize(("position", "ordered"), [("none", False), ("sinusoidal", True), ("learned", True)])
def test_positions_are_what_tells_an_unmasked_model_the_order(position: str, ordered: bool) -> None:
    config = tiny_config({"position": "sinusoidal", "mask": "bidirectional"}, data={"task": "recall"})
    model = assemble(config, "cpu")
    model.position = assemble(tiny_config({"position": position}), "cpu").position
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(parameter.numel()))
    tokens = tokens_for(config)
    shuffle = torch.randperm(config.model.context, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        difference = (model(tokens)[:, shuffle] - model(tokens[:, shuffle])).abs().max()
    assert (difference > 0.1) == ordered and (difference < 1e-3) != ordered


def test_sinusoidal_positions_have_squared_length_half_the_width() -> None:
    config = tiny_config(model={"width": 8})
    table = assemble(config, "cpu").position(torch.zeros(1, 9, 8))
    torch.testing.assert_close(table.square().sum(dim=-1), torch.full((1, 9), 4.0))


def test_learned_positions_end_with_the_context_and_sinusoidal_ones_do_not() -> None:
    too_long = torch.zeros(1, 10, dtype=torch.int64)
    assert assemble(tiny_config({"position": "sinusoidal"}), "cpu")(too_long).shape == (1, 10, 11)
    with pytest.raises(ValueError, match="end at 9 tokens, but the input has 10"):
        assemble(tiny_config({"position": "learned"}), "cpu")(too_long)


@pytest.mark.parametrize("placement", ["pre_norm", "post_norm"])
@pytest.mark.parametrize("techniques", [{}, {"adapter": {"use": "lora", "dropout": 0.3}}], ids=["all", "lora-dropout"])
@pytest.mark.parametrize("every", [1, 2])
def test_recompute_changes_no_bit_of_any_gradient(techniques: dict, placement: str, every: int) -> None:
    found = []
    for recompute in ("none", {"use": "every_block", "every": every}):
        torch.manual_seed(0)
        found.append(trained_gradients(tiny_config({**techniques, "placement": placement, "recompute": recompute})))
    plain, again = found
    assert plain.keys() == again.keys() and plain
    assert all(torch.equal(plain[name], again[name]) for name in plain)


@pytest.mark.parametrize("kernel", ["math", "flash", "efficient", "eager"])
def test_blocks_run_again_with_a_kernel_that_is_first_tried_in_one_of_them(kernel: str) -> None:
    config = tiny_config({"kernel": kernel, "recompute": "every_block"})
    assert all(gradient.isfinite().all() for gradient in trained_gradients(config).values())


@pytest.mark.parametrize(("every", "blocks"), [(1, 3), (2, 2), (3, 1), (5, 1)])
def test_recompute_keeps_less_and_marks_each_block_that_runs_again(every: int, blocks: int) -> None:
    config = tiny_config({"recompute": {"use": "every_block", "every": every}}, model={"layers": 3})
    assert kept_numbers(config) < kept_numbers(tiny_config(model={"layers": 3}))
    model = assemble(config, "cpu")
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        loss_of(model, *make_task(config).batch(0)).backward()
    marks = [event for event in profiler.events() if event.name == RECOMPUTE_MARK]
    assert len(marks) == blocks


def kept_numbers(config: Config) -> int:
    """How many numbers the forward pass keeps for the backward pass."""
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes() // tensor.element_size()
        return tensor

    model = assemble(config, "cpu")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        alive = loss_of(model, *make_task(config).batch(0))
    assert alive.isfinite()
    return sum(kept.values())


def lora_config(**options: object) -> Config:
    return tiny_config({"adapter": {"use": "lora", "rank": 2, **options}}, run={"measure_steps": 6})


def test_lora_begins_exactly_at_the_frozen_model() -> None:
    config = lora_config()
    tokens = tokens_for(config)
    assert torch.equal(assemble(config, "cpu")(tokens), assemble(tiny_config(), "cpu")(tokens))


def test_lora_trains_its_own_weights_and_nothing_else() -> None:
    config = lora_config()
    model, task = assemble(config, "cpu"), make_task(config)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    train(model, config, [task.batch(step) for step in range(5)])
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad == is_adapter(name)
        assert torch.equal(parameter, before[name]) != is_adapter(name), name


@pytest.mark.parametrize("targets", [["query"], ["key", "output"], ["feedforward"], ["value", "feedforward"]], ids=str)
def test_lora_adapts_the_layers_that_are_named(targets: list[str]) -> None:
    model = assemble(lora_config(targets=targets), "cpu")
    adapted = {name.split(".")[-2] for name, _ in model.named_parameters() if is_adapter(name)}
    inside = {"up", "down"} if "feedforward" in targets else set()
    assert adapted == (set(targets) - {"feedforward"}) | inside


def test_merged_lora_gives_the_adapters_output_and_unmerging_is_exact() -> None:
    config = lora_config()
    model, task, adapter = assemble(config, "cpu"), make_task(config), make_adapter(config)
    train(model, config, [task.batch(step) for step in range(5)])
    tokens, before = tokens_for(config), {k: v.clone() for k, v in model.state_dict().items()}
    with torch.no_grad():
        wanted = model(tokens)
        adapter.merge(model)
        adapter.merge(model)  # a second time changes nothing
        merged = model(tokens)
        changed = [k for k, v in model.state_dict().items() if not torch.equal(v, before[k])]
        adapter.unmerge(model)
        adapter.unmerge(model)
    torch.testing.assert_close(merged, wanted, rtol=1e-5, atol=1e-5)
    assert changed and all(name.endswith("weight") for name in changed)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(model(tokens), wanted)


def test_lora_can_be_put_on_a_model_that_exists_already() -> None:
    config = lora_config()
    model = assemble(tiny_config(), "cpu")
    make_adapter(config).apply(model)
    wanted = assemble(config, "cpu").state_dict()
    assert model.state_dict().keys() == wanted.keys()
    assert all(torch.equal(v, wanted[k]) for k, v in model.state_dict().items())


def test_bfloat16_autocast_computes_in_bfloat16_and_keeps_weights_and_gradients_in_float32() -> None:
    config = tiny_config({"precision": "bfloat16_autocast"})
    model, task = assemble(config, "cpu"), make_task(config)
    with make_precision(config).context("cpu"):
        logits = model(task.batch(0)[0])
        loss = loss_of(model, *task.batch(0))
    loss.backward()
    assert logits.dtype == torch.bfloat16 and loss.dtype == torch.float32
    assert all(p.dtype == p.grad.dtype == torch.float32 for p in model.parameters())
    assert not torch.equal(logits.float(), model(task.batch(0)[0]))


def test_a_soft_cap_bounds_the_logits() -> None:
    config = tiny_config({"head": {"use": "untied", "softcap": 1.5}})
    model = assemble(config, "cpu")
    with torch.no_grad():
        model.head.weight.mul_(1000)
        assert model(tokens_for(config)).abs().max() <= 1.5


def test_a_tied_head_is_the_embedding_and_an_untied_one_is_not() -> None:
    tied, untied = (assemble(tiny_config({"head": name}), "cpu") for name in ("tied", "untied"))
    assert tied.head.weight is tied.embedding.weight
    assert untied.head.weight is not untied.embedding.weight
    assert not torch.equal(untied.head.weight, untied.embedding.weight)


def test_embedding_dropout_falls_on_training_and_not_on_evaluation() -> None:
    config = tiny_config({"embedding": {"dropout": 0.5}})
    model, tokens = assemble(config, "cpu"), tokens_for(config)
    torch.manual_seed(0)
    assert not torch.equal(model(tokens), model(tokens))
    model.eval()
    assert torch.equal(model(tokens), model(tokens))


@pytest.mark.parametrize("given", [True, False])
def test_automatic_embedding_scale_is_on_with_sinusoidal_positions_alone(given: bool) -> None:
    scales = {p: assemble(tiny_config({"position": p}), "cpu").embedding.scale for p in POSITIONS}
    assert scales == {"none": 1.0, "sinusoidal": pytest.approx(7**0.5), "learned": 1.0}
    forced = {p: assemble(tiny_config({"position": p, "embedding": {"scale": given}}), "cpu") for p in POSITIONS}
    assert {m.embedding.scale == 1.0 for m in forced.values()} == {not given}


def test_sgd_without_momentum_keeps_no_state_and_adamw_keeps_two_numbers_a_weight() -> None:
    optimizers = [({"use": "sgd", "momentum": 0.0}, 0), ("sgd", 1), ("adamw", 2)]
    for optimizer, numbers in optimizers:
        assert state_numbers(tiny_config({"optimizer": optimizer})) == numbers


def state_numbers(config: Config) -> float:
    """Numbers of optimizer state per weight."""
    model = assemble(config, "cpu")
    optimizer = make_optimizer(config, model)
    loss_of(model, *make_task(config).batch(0)).backward()
    optimizer.step()
    state = [t for s in optimizer.state.values() for t in s.values() if torch.is_tensor(t) and t.dim() > 0]
    return sum(t.numel() for t in state) / sum(p.numel() for p in model.parameters())
