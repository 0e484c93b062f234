"""Initial weights: where the small ones are, and muP's promise that width changes nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from tests.helpers.tiny import tiny_config
from tfx_engine.model.assemble import assemble, make_initial, make_optimizer
from tfx_engine.model.validate import validate
from tfx_engine.protocol.problems import errors_among
from tfx_engine.train.setup import set_up
from tfx_engine.train.step import train_step

MUP = {"use": "mup", "base_width": 32}


@pytest.mark.parametrize("feedforward", ["gelu", "swiglu", {"use": "mixture_of_experts", "experts": 2, "shared": 1}])
@pytest.mark.parametrize(("init", "at_ends", "elsewhere"), [
    ("gpt2_scaled", 0.02 / math.sqrt(8), 0.02), ("small", 2 / (4 * math.sqrt(64)), math.sqrt(2 / (5 * 64))),
])  # fmt: skip
def test_what_writes_to_the_stream_begins_smaller(
    init: str, at_ends: float, elsewhere: float, feedforward: Any
) -> None:
    config = tiny_config({"init": init, "feedforward": feedforward}, model={"width": 64, "layers": 4})
    found = set()
    for name, parameter in assemble(config, "cpu").named_parameters():
        if name.startswith("blocks.") and parameter.dim() == 2 and parameter.numel() > 1000:
            end = name.endswith((".output.weight", ".down.weight"))
            found.add(end)
            assert parameter.std().item() == pytest.approx(at_ends if end else elsewhere, rel=0.1), name
    assert found == {True, False}


def test_xaviers_uniform_numbers_have_a_bound_and_its_normal_ones_have_not() -> None:
    sizes = {"width": 64, "layers": 1}
    weights = {d: assemble(tiny_config({"init": {"use": "xavier", "distribution": d}}, model=sizes), "cpu").blocks[0]
               .feedforward.up.weight for d in ("uniform", "normal")}  # fmt: skip
    bound = math.sqrt(6 / (64 + 256))
    assert 0.99 * bound < weights["uniform"].abs().max() <= bound < weights["normal"].abs().max()


def activations(init: Any, width: int, more: dict[str, Any]) -> dict[str, float]:
    """Root mean squares after a few steps of training, of what the last block's parts and the head give."""
    techniques = {"init": init, "optimizer": {"use": "adamw", "learning_rate": 0.01, "weight_decay": 0.0}, **more}
    sizes = {"width": width, "heads": 4, "head_width": None, "context": 16, "vocab": 32}
    setup = set_up(tiny_config(techniques, model=sizes, run={"batch": 8}), torch.device("cpu"))
    model, found = setup.training.model, {}
    for step in range(4):
        train_step(setup.training, setup.task.batch(step), step)
    block = model.blocks[-1]
    for name, part in (("attention", block.attention), ("feed-forward", block.feedforward), ("stream", block),
                       ("logits", model.head)):  # fmt: skip
        part.register_forward_hook(
            lambda m, given, y, name=name: found.__setitem__(name, y.square().mean().sqrt().item())
        )
    with torch.no_grad():
        model(setup.task.batch(9)[0])
    return found


@pytest.mark.parametrize("more", [
    {}, {"head": "untied"}, {"position": "learned"},
    {"position": "learned", "head": "untied", "feedforward": "swiglu"},
], ids=str)  # fmt: skip
def test_under_mup_activations_after_training_do_not_depend_on_the_width_and_by_default_they_do(more: dict) -> None:
    narrow, wide = (activations(MUP, width, more) for width in (64, 256))
    assert all(0.75 < wide[name] / narrow[name] < 1.33 for name in wide), (narrow, wide)
    narrow, wide = (activations("default", width, more) for width in (64, 256))
    assert wide["stream"] / narrow["stream"] > 2.5 and wide["feed-forward"] / narrow["feed-forward"] > 1.7


def test_mups_rates_are_smaller_for_what_goes_from_width_to_width() -> None:
    config = tiny_config({"init": MUP, "position": "learned", "head": "untied"}, model={"width": 128})
    model = assemble(config, "cpu")
    rates = {id(p): g["lr"] for g in make_optimizer(config, model).param_groups for p in g["params"]}
    for name, parameter in model.named_parameters():
        hidden = name.startswith("blocks.") and parameter.dim() == 2
        assert rates[id(parameter)] == pytest.approx(1e-3 / 4 if hidden else 1e-3), name


@pytest.mark.parametrize(("position", "head", "table", "multiplier"), [
    ("sinusoidal", "tied", 0.5, 0.5), ("sinusoidal", "untied", 0.5, 0.25),
    ("learned", "tied", 1.0, 0.25), ("learned", "untied", 1.0, 0.25),
])  # fmt: skip
def test_a_scaled_table_moves_slower_and_a_tied_head_makes_up_for_it(
    position: str, head: str, table: float, multiplier: float
) -> None:
    config = tiny_config({"init": MUP, "position": position, "head": head}, model={"width": 128})
    initial, model = make_initial(config), assemble(config, "cpu")
    assert initial.rate("embedding.weight", model.embedding.weight) == pytest.approx(table)
    assert model.head.multiplier == pytest.approx(multiplier)


def test_at_the_base_width_mups_factors_are_one() -> None:
    config = tiny_config({"init": MUP}, model={"width": 32, "heads": 4, "head_width": None})
    initial, model = make_initial(config), assemble(config, "cpu")
    assert {initial.rate(name, p) for name, p in model.named_parameters()} == {1.0} == {initial.output_multiplier}
    assert initial.attention_scale(8) == pytest.approx(8**-0.5)
    assert initial.attention_scale(32) == pytest.approx(8**0.5 / 32)


def test_mup_is_refused_with_descent_and_warns_of_optimizers_with_rules_of_their_own() -> None:
    found = {name: validate(tiny_config({"init": "mup", "optimizer": name}))
             for name in ("adamw", "lion", "sgd", "muon", "adafactor")}  # fmt: skip
    own = {name: [p for p in problems if p.path == "techniques.init.use"] for name, problems in found.items()}
    assert not own["adamw"] and not own["lion"]
    assert errors_among(own["sgd"]) and "adamw" in own["sgd"][0].hint
    assert all(own[name] and not errors_among(own[name]) for name in ("muon", "adafactor"))


WIDE = {"width": 100, "heads": 64, "head_width": 4}


@pytest.mark.parametrize(("techniques", "ending", "mean", "deviation"), [
    ({"norm": {"use": "dynamic_tanh", "alpha0": 2.0}}, "norm.alpha", 2.0, 0.0),
    ({"residual": {"use": "layer_scale", "initial": 0.3}}, "residual.scale", 0.3, 0.0),
    ({"residual": "rezero"}, "residual.scale", 0.0, 0.0),
    ({"residual": "hyper_connections"}, "write", 1.0, 0.0), ({"residual": "hyper_connections"}, "dynamic", 0.0, 0.0),
    ({"residual": "hyper_connections"}, "mix_scale", 0.01, 0.0),
    ({"adapter": "prefix"}, "adapter_keys", 0.0, 0.02), ({"adapter": "prefix"}, "adapter_values", 0.0, 0.02),
    ({"adapter": "ia3"}, "adapter_scale", 1.0, 0.0),
    ({"sink": "learned"}, "logit_H", 0.0, 0.0),
    ({"qk_norm": "l2"}, "qk_norm.scale", math.log2(9 * 9 - 9), 0.0),
    ({"mixer": "lstm"}, "cell.bias_hh_l0", 0.0, 0.0), ({"mixer": "gru"}, "cell.bias_ih_l0", 0.0, 0.0),
    ({"position": "t5_bias"}, "position.weight", 0.0, 100**-0.5),
    ({"attention": "differential"}, "lambda_key_1", 0.0, 0.1),
    ({"head": "multi_token"}, "turn.weight", 0.0, 0.0),
], ids=lambda value: str(value))  # fmt: skip
def test_what_a_technique_brings_begins_as_its_page_says(
    techniques: dict[str, Any], ending: str, mean: float, deviation: float
) -> None:
    sizes = {**WIDE, "head_width": 400, "heads": 2} if "differential" in techniques.values() else WIDE
    model = assemble(tiny_config(techniques, model=sizes), "cpu")
    found = [p for name, p in model.named_parameters() if name.endswith(ending)]
    assert found
    for parameter in found:
        if deviation == 0:
            torch.testing.assert_close(parameter.detach(), torch.full_like(parameter, mean))
        else:
            assert parameter.std().item() == pytest.approx(deviation, rel=0.15)
            assert abs(parameter.mean().item()) < 0.2 * deviation


def test_the_forget_gate_of_an_lstm_begins_open() -> None:
    bias = assemble(tiny_config({"mixer": "lstm"}), "cpu").blocks[0].attention.cell.bias_ih_l0
    assert bias.view(4, -1).tolist() == [[0.0] * 7, [1.0] * 7, [0.0] * 7, [0.0] * 7]
