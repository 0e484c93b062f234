"""Where numbers stopped being finite is found, and named; a run that learns nothing says so."""

from __future__ import annotations

import math

import pytest
import torch

from tests.helpers.training import ListRecorder, loop_of, small_setup
from tfx_engine.train.control import RunControl
from tfx_engine.train.not_a_number import find_origin

RUN = {"warmup_steps": 0, "measure_steps": 6}
AT = 4  # the step in which it begins


def trained(setup, spoil=None, control=None):
    """A real run; `spoil(module output)` replaces what the second block's feed-forward gives, from step AT on."""
    recorder = ListRecorder()
    loop = loop_of(setup, recorder, control)
    if spoil is not None:
        module = setup.training.model.blocks[1].feedforward
        module.register_forward_hook(lambda m, args, out: spoil(out) if loop.step >= AT else None)
    loop.run()
    return recorder


def not_finite_forward(output):
    return torch.where(output > output.flatten()[0], math.inf, output)


def not_finite_backward(output):
    output = output.clone()
    if output.requires_grad:
        output.register_hook(lambda gradient: gradient * math.nan)
    return output


def said(recorder):
    return dict(recorder.events)


def name_of(setup):
    module = setup.training.model.blocks[1].feedforward
    return next(name for name, m in setup.training.model.named_modules() if m is module)


@pytest.mark.parametrize("techniques", [
    {}, {"recompute": "every_block"}, {"adapter": "lora"}, {"accumulation": {"use": "micro_batches", "pieces": 2}},
], ids=lambda t: next(iter(t), "plain"))
def test_the_module_and_the_step_in_which_it_began_are_named(techniques):
    setup = small_setup(techniques, run=RUN)
    recorder = trained(setup, not_finite_forward)
    args = said(recorder)["origin-forward"]
    assert (args["step"], args["module"]) == (AT, name_of(setup)) and 0 < args["count"] < args["size"]
    (inputs,) = args["statistics"]
    assert inputs["not_finite"] == 0 and inputs["low"] < inputs["mean"] < inputs["high"] and inputs["shape"][-1] == 7
    assert [code for code, _ in recorder.events].count("origin-forward") == 1


def test_a_gradient_is_traced_to_the_module_that_it_left():
    setup = small_setup(run=RUN)
    args = said(trained(setup, not_finite_backward))["origin-backward"]
    after = setup.training.model.get_submodule(args["module"])
    assert args["step"] == AT and any(after is m for m in setup.training.model.blocks[1].feedforward.modules())


def test_a_weight_that_is_not_finite_is_named():
    setup = small_setup(run=RUN)
    name, parameter = list(setup.training.model.named_parameters())[5]
    parameter.data[0] = math.nan
    args = said(trained(setup))["origin-weight"]
    assert args["tensor"] == name and args["step"] == 1


def test_a_learning_rate_that_is_far_too_high_is_found_out_wherever_it_shows():
    setup = small_setup({"optimizer": "sgd"}, run={"warmup_steps": 0, "measure_steps": 40})
    for group in setup.training.optimizer.param_groups:
        group["lr"] = 1e12
    recorder = trained(setup)
    codes = [code for code, _ in recorder.events if code.startswith("origin")]
    assert len(codes) == 1 and codes != ["origin-unknown"]


@pytest.mark.parametrize("on_nan", ["stop", "find"])
def test_the_outcome_says_where_it_began(on_nan, monkeypatch):
    monkeypatch.setattr("tfx_engine.measure.readout.PERIOD_S", 0.0)
    control, setup = RunControl(), small_setup(run={**RUN, "on_nan": on_nan})
    recorder = trained(setup, not_finite_forward, control)
    assert control.stop.status == "stopped" and f"{name_of(setup)} (" in control.stop.reason
    assert recorder.readings[-1].step == AT


def test_looking_changes_nothing():
    setup = small_setup({"embedding": {"use": "token", "dropout": 0.3}})
    model, batch = setup.training.model, setup.task.batch(0)
    before, random = {n: p.clone() for n, p in model.named_parameters()}, torch.get_rng_state()
    assert find_origin(setup.training, batch, 1).code == "origin-unknown"  # nothing is wrong
    assert torch.equal(random, torch.get_rng_state()) and all(p.grad is None for p in model.parameters())
    assert all(torch.equal(before[n], p) for n, p in model.named_parameters())


def test_a_run_that_learns_nothing_says_so():
    setup = small_setup(run=RUN)
    for group in setup.training.optimizer.param_groups:
        group["lr"] = 0.0
    recorder = trained(setup)
    assert said(recorder)["learns-nothing"]["rate"] == 0 and recorder.facts["learns"] is False
    learning = trained(small_setup(run=RUN))
    assert "learns-nothing" not in said(learning) and learning.facts["learns"] is True


@pytest.mark.parametrize("update", ["after_backward", "in_backward"])
@pytest.mark.parametrize("factor", [0.0, 1.0])
def test_what_only_weight_decay_moves_is_not_learnt(factor, update):
    optimizer = {"use": "adamw", "weight_decay": 0.1}
    setup = small_setup({"adapter": "lora", "update": update, "optimizer": optimizer}, run=RUN)
    trainable = [p for p in setup.training.model.parameters() if p.requires_grad]
    before = [p.detach().clone() for p in trainable]
    for parameter in trainable:
        parameter.register_hook(lambda gradient: gradient * factor)
    recorder = trained(setup)
    assert not all(torch.equal(a, b) for a, b in zip(before, trainable, strict=True)), "it moved"
    assert recorder.facts["learns"] is (factor != 0.0)
    assert ("learns-nothing" in said(recorder)) is (factor == 0.0)


def test_what_is_no_number_has_not_moved():
    recorder = trained(small_setup(run={**RUN, "on_nan": "continue"}), not_finite_backward)
    assert recorder.facts["learns"] is False and said(recorder)["learns-nothing"].keys() == {"tensors"}
