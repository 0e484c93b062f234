"""Precisions do what their pages say, as far as a CPU can tell; what it cannot do is refused with the reason."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from tests.helpers.tiny import tiny_config
from tfx_engine.model.assemble import assemble, make_precision
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import errors_among
from tfx_engine.techniques.catalogue import discover
from tfx_engine.train.setup import Setup, set_up
from tfx_engine.train.step import train_step

WIDE = {"width": 32, "heads": 2, "head_width": 16}


def setup_of(precision: Any, **more: Any) -> Setup:
    return set_up(tiny_config({"precision": precision, **more.pop("techniques", {})}, **more), torch.device("cpu"))


def gradients_of_a_step(setup: Setup, step: int = 0) -> dict[str, Tensor]:
    """As they are when clipping sees them."""
    model, found = setup.training.model, {}

    def keep() -> None:
        found.update({n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None})

    train_step(setup.training, setup.task.batch(step), step, on_gradients=keep)
    return found


@pytest.mark.parametrize(("precision", "tolerance"), [("float16_autocast", 0.01), ("bfloat16", 0.1)])
def test_gradients_are_those_of_float32_but_for_rounding(precision: str, tolerance: float) -> None:
    wanted, found = gradients_of_a_step(setup_of("float32")), gradients_of_a_step(setup_of(precision))
    assert wanted.keys() == found.keys()
    for name, gradient in found.items():
        error = (gradient.float() - wanted[name]).norm()
        assert error <= tolerance * wanted[name].norm() + 1e-3, name


def test_float16_scales_the_loss_and_leaves_a_step_out_where_gradients_overflow() -> None:
    setup = setup_of("float16_autocast")
    scaler, model = setup.training.scaler, setup.training.model
    assert scaler is not None and scaler.get_scale() == 65536
    before = model.blocks[0].attention.query.weight.clone()
    gradients_of_a_step(setup)
    assert not torch.equal(model.blocks[0].attention.query.weight, before) and scaler.get_scale() == 65536
    hook = model.head.weight.register_hook(lambda gradient: gradient * torch.inf)
    before = model.blocks[0].attention.query.weight.clone()
    gradients_of_a_step(setup, 1)
    assert torch.equal(model.blocks[0].attention.query.weight, before) and scaler.get_scale() == 32768
    hook.remove()


def test_in_pure_bfloat16_everything_has_16_bits_and_small_updates_vanish() -> None:
    setup = setup_of("bfloat16", techniques={"optimizer": {"learning_rate": 1e-4, "weight_decay": 0.0}})
    model, optimizer = setup.training.model, setup.training.optimizer
    norm = model.final_norm.weight
    gradients = gradients_of_a_step(setup)
    assert {p.dtype for p in model.parameters()} == {g.dtype for g in gradients.values()} == {torch.bfloat16}
    moments = {t.dtype for state in optimizer.state.values() for t in state.values() if t.dim()}
    assert moments == {torch.bfloat16}
    assert torch.equal(norm, torch.ones_like(norm)), "a step of 1e-4 cannot move a weight of 1"


def test_tf32_is_a_setting_of_the_process_that_float32_takes_back() -> None:
    try:
        setup_of("tf32")
        assert torch.get_float32_matmul_precision() == "high"
        setup_of("float32")
        assert torch.get_float32_matmul_precision() == "highest"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("precision", ["tf32", "float8"])
def test_what_a_cpu_has_no_units_for_is_refused_and_says_why(precision: str) -> None:
    (problem,) = errors_among(validate(tiny_config({"precision": precision}, model=WIDE)))
    assert problem.code == "not-on-this-device" and "NVIDIA" in problem.message and "cpu" in problem.message
    assert "bfloat16_autocast" in problem.hint


@pytest.mark.parametrize("capability", [(8, 0), (8, 6), (8, 9), (9, 0)])
def test_an_nvidia_card_is_taken_by_its_capability(capability: tuple[int, int], monkeypatch: Any) -> None:
    from tfx_engine.techniques import devices, precision

    for module in (devices, precision):
        monkeypatch.setattr(module, "count_devices", lambda kind: 1)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: capability)
    config = tiny_config(run={"device": "cuda"})
    assert precision.not_here(config, (8, 0)) == ""
    reason = precision.not_here(config, (8, 9))
    assert (f"8.{capability[1]}" in reason and "8.9" in reason) if capability < (8, 9) else reason == ""


def float8_config(**model: Any) -> Config:
    return tiny_config({"precision": "float8"}, model={**WIDE, **model})


def test_float8_takes_the_layers_whose_sizes_fit_and_trains_them() -> None:
    config = float8_config()
    model = assemble(config, "cpu")
    kinds = {type(m).__name__ for m in (model.blocks[0].attention.query, model.blocks[1].feedforward.down)}
    assert kinds == {"Float8Linear"}
    assert {type(m).__name__ for m in assemble(float8_config(width=24), "cpu").modules()}.isdisjoint(kinds)
    plain = assemble(tiny_config(model=WIDE), "cpu")
    tokens = torch.arange(9).view(1, 9)
    with make_precision(config).context("cpu"):
        logits = model(tokens)
    logits.float().square().sum().backward()
    plain(tokens).square().sum().backward()
    wanted = plain.blocks[0].feedforward.up.weight.grad
    error = (model.blocks[0].feedforward.up.weight.grad - wanted).norm() / wanted.norm()
    assert 0.001 < error < 0.2, "rounded, as float8 is, and the same gradient"


def test_float8_refuses_sizes_of_which_none_fits() -> None:
    codes = {p.code for p in validate(float8_config(width=8))}
    assert "sizes-do-not-fit" in codes


@pytest.mark.parametrize("adapter", ["lora", "dora", "qlora", "ia3"])
def test_float8_and_adapters_of_linear_layers_exclude_each_other(adapter: str) -> None:
    with pytest.raises(AssertionError, match="so does float8"):
        tiny_config({"precision": "float8", "adapter": adapter})


def test_float16_on_a_cpu_is_warned_of() -> None:
    (problem,) = validate(tiny_config({"precision": "float16_autocast"}))
    assert (problem.code, problem.level) == ("slow-here", "warning")


@pytest.mark.parametrize("optimizer", sorted({name for slot, name in discover() if slot == "optimizer"}))
def test_a_step_that_loss_scaling_leaves_out_leaves_nothing_behind(optimizer: str, poisoned_memory: None) -> None:
    setup = setup_of("float16_autocast", techniques={"optimizer": optimizer})
    model = setup.training.model
    hook = model.head.weight.register_hook(lambda gradient: gradient * torch.inf)
    before = {name: p.clone() for name, p in model.named_parameters()}
    gradients_of_a_step(setup)
    hook.remove()
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    gradients_of_a_step(setup, 1)
    moved = max((p - before[name]).abs().max().item() for name, p in model.named_parameters())
    assert 0 < moved < 1, "a step like any other"


def test_queries_of_length_zero_are_left_as_they_are_in_float16() -> None:
    setup = setup_of("float16_autocast", techniques={"qk_norm": "l2", "kernel": "eager"})
    with torch.no_grad():
        for block in setup.training.model.blocks:
            for parameter in block.attention.query.parameters():
                parameter.zero_()
    assert train_step(setup.training, setup.task.batch(0), 0).isfinite()


def test_an_lstm_is_refused_in_a_number_format_that_torch_has_none_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*args: Any) -> Any:
        raise RuntimeError("could not create a primitive descriptor")

    config = tiny_config({"mixer": "lstm", "precision": "bfloat16_autocast"})
    assert not validate(config)
    monkeypatch.setattr(torch.nn.LSTM, "forward", refuses)
    assert [p.path for p in errors_among(validate(config))] == ["techniques.precision.use"]
