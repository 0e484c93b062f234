"""Recurrent layers in the place of attention: what they cost, what they see, and what they say does nothing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from tests.helpers.tiny import tiny_config
from tfx_engine.estimate import flops_per_token
from tfx_engine.model.assemble import assemble
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.problems import errors_among
from tfx_engine.techniques.catalogue import technique_for
from tfx_engine.techniques.context import AttentionContext

RECURRENT = ("lstm", "gru")
every_one = pytest.mark.parametrize("mixer", RECURRENT)


def context_for(model: torch.nn.Module, x_BTD: torch.Tensor) -> AttentionContext:
    return AttentionContext(model.mask, model.position, x_BTD)


@every_one
def test_flops_in_closed_form_are_those_of_the_single_cells(mixer: str) -> None:
    """Torch does not count its fused layers; the reference is made of matrix products that it counts."""
    config = tiny_config({"mixer": mixer})
    model, (technique, options) = assemble(config, "cpu"), technique_for("mixer", config.techniques["mixer"])
    x_BTD = torch.randn(2, 9, config.model.width)
    with FlopCounterMode(display=False) as counter:
        technique.reference(model.blocks[0].attention, x_BTD, context_for(model, x_BTD))
    assert counter.get_total_flops() == 2 * technique.work(options, config).multiply_adds * 2 * 9


@every_one
def test_its_flops_do_not_depend_on_the_context_and_attentions_do(mixer: str) -> None:
    lengths = [tiny_config({"mixer": mixer}, model={"context": t}) for t in (9, 90)]
    assert flops_per_token(lengths[0]) == flops_per_token(lengths[1])
    lengths = [tiny_config(model={"context": t}) for t in (9, 90)]
    assert flops_per_token(lengths[0]).forward < flops_per_token(lengths[1]).forward


@every_one
def test_it_sees_the_past_and_not_the_future(mixer: str) -> None:
    config = tiny_config({"mixer": mixer, "position": "none"})
    model = assemble(config, "cpu")
    tokens = torch.randint(config.vocab, (2, 9), generator=torch.Generator().manual_seed(0))
    changed = tokens.clone()
    changed[:, 4] = (changed[:, 4] + 1) % config.vocab
    with torch.no_grad():
        before, after = model(tokens), model(changed)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.isclose(before[:, 4:], after[:, 4:]).all(dim=-1).any(), "every later token depends on it"


@every_one
def test_it_leaves_the_rest_of_the_model_as_it_was(mixer: str) -> None:
    one, other = (dict(assemble(tiny_config({"mixer": m}), "cpu").named_parameters()) for m in ("attention", mixer))
    assert {name for name in one if ".attention." not in name} == {n for n in other if ".attention." not in n}
    assert other["blocks.0.attention.output.weight"].shape == (7, 7)


def test_the_forget_gate_begins_open_and_all_other_biases_at_zero() -> None:
    cell = assemble(tiny_config({"mixer": "lstm"}), "cpu").blocks[0].attention.cell
    assert cell.bias_ih_l0.view(4, 7).tolist() == [[0.0] * 7, [1.0] * 7, [0.0] * 7, [0.0] * 7]
    assert not cell.bias_hh_l0.any()
    assert not assemble(tiny_config({"mixer": "gru"}), "cpu").blocks[0].attention.cell.bias_ih_l0.any()


@every_one
@pytest.mark.parametrize(("techniques", "path"), [
    ({"window": "sliding"}, "techniques.window.use"), ({"qk_norm": "per_head"}, "techniques.qk_norm.use"),
    ({"attention": {"bias": False}}, "techniques.attention.use"), ({"sink": "learned"}, "techniques.sink.use"),
])  # fmt: skip
def test_what_acts_within_attention_is_said_to_do_nothing(mixer: str, techniques: dict[str, Any], path: str) -> None:
    assert not validate(tiny_config({"mixer": mixer}))
    problems = validate(tiny_config({"mixer": mixer, **techniques}))
    assert [p.path for p in problems] == [path] and not errors_among(problems)
    assert "nothing" in problems[0].message


@every_one
@pytest.mark.parametrize("position", ["rotary", "alibi", "t5_bias"])
def test_positions_that_need_attention_are_refused(mixer: str, position: str) -> None:
    (problem,) = parse_config({"techniques": {"mixer": mixer, "position": position}})[1]
    assert problem.path == "techniques.position.use" and mixer in problem.message


@every_one
def test_it_needs_the_causal_mask(mixer: str) -> None:
    given = {"techniques": {"mixer": mixer, "mask": "bidirectional"}, "data": {"task": "recall"}}
    assert any("past to the future" in p.message for p in parse_config(given)[1])
