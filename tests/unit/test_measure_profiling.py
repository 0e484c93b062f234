"""Where time goes: parts add up to the step, work lies where the model says, and looking changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch.nn.modules import module as torch_module

from tests.helpers.training import ListRecorder, loop_of, recorded, small_setup
from tfx_engine.estimate import flops_per_token
from tfx_engine.measure.operators import is_working
from tfx_engine.techniques.catalogue import discover
from tfx_engine.train.control import RunControl
from tfx_engine.worker.facts import declared_flops

RUN = {"warmup_steps": 1, "measure_steps": 2, "profile": True, "memory_every": 100}


def profile_of(techniques=None, **sections):
    setup = small_setup(techniques, run=RUN, **sections)
    (profile,) = recorded(setup).profiles
    return setup, profile


def summed(profile, figure, **of):
    return sum(getattr(row, figure) for row in profile.parts if all(getattr(row, k) == v for k, v in of.items()))


@pytest.fixture(scope="module")
def plain():
    return profile_of()


def test_the_parts_add_up_to_the_step(plain):
    _, profile = plain
    assert summed(profile, "ms") == pytest.approx(profile.step_ms, rel=1e-9)
    assert {row.part for row in profile.parts} == {
        "data", "forward", "loss", "backward", "measure", "optimizer", "other"}
    assert len({(row.part, row.component) for row in profile.parts}) == len(profile.parts)
    assert all(row.ms >= 0 and row.host_ms >= 0 and row.device_ms is None for row in profile.parts)
    assert (profile.marked_steps, profile.profiled_steps) == (5, 2) and not profile.kernels


def test_no_time_of_a_profiled_step_is_told_twice(plain):
    _, profile = plain
    assert 0 < summed(profile, "host_ms") <= profile.profiled_ms


@pytest.mark.parametrize("techniques", [
    {}, {"adapter": "lora"}, {"attention": {"use": "grouped_query", "kv_heads": 1}, "feedforward": "swiglu"},
    {"kernel": "eager", "position": "rotary", "norm": "rms_norm"}, {"head": "untied", "placement": "post_norm"},
], ids=lambda t: "-".join(t) or "plain")
def test_flops_by_operator_are_those_of_the_closed_form(techniques):
    setup, profile = profile_of(techniques)
    declared, tokens = flops_per_token(setup.config), setup.tokens_per_step
    assert summed(profile, "flops", part="forward") + summed(profile, "flops", part="loss") == declared.forward * tokens
    assert summed(profile, "flops", part="backward") == declared.backward * tokens


@pytest.mark.parametrize("techniques", [
    {}, {"adapter": "lora", "recompute": "every_block"}, {"head": "untied", "attention": "latent", "norm": "rms_norm"},
    {"feedforward": "swiglu", "position": "rotary", "residual": "hyper_connections", "gate": "per_head"},
], ids=lambda t: "-".join(t) or "plain")
def test_flops_are_where_the_techniques_declare_them(techniques):
    setup, profile = profile_of(techniques)
    declared = declared_flops(setup)
    counted = {(row.part, row.component): row.flops for row in profile.parts if row.flops and row.part != "recompute"}
    assert counted == declared


def test_gradients_belong_to_the_component_that_was_differentiated(plain):
    _, profile = plain
    for component in ("feedforward", "attention", "kernel"):
        forward, backward = (summed(profile, "flops", part=p, component=component) for p in ("forward", "backward"))
        assert forward > 0 and backward == 2 * forward, component
    assert summed(profile, "flops", part="backward", component="head") == 2 * summed(
        profile, "flops", part="loss", component="head") > 0
    assert summed(profile, "flops", component="norm") == summed(profile, "flops", component="autograd") == 0
    assert summed(profile, "elements", part="backward", component="norm") > 0


def test_what_runs_again_is_a_part_of_its_own():
    _, profile = profile_of({"recompute": "every_block"})
    blocks = ("attention", "kernel", "feedforward")
    for component in blocks[:2]:
        again, first = (summed(profile, "flops", part=p, component=component) for p in ("recompute", "forward"))
        assert again == first, component
    assert summed(profile, "flops", part="recompute", component="feedforward") > 0
    assert not torch_module._global_forward_hooks and not torch_module._global_forward_pre_hooks


def test_an_adapter_and_an_optimizer_within_backward_are_told_apart():
    _, profile = profile_of({"adapter": "lora", "update": "in_backward"})
    assert summed(profile, "flops", part="forward", component="adapter") > 0
    assert summed(profile, "calls", part="optimizer", component="optimizer") > 0
    assert summed(profile, "ms") == pytest.approx(profile.step_ms, rel=1e-9)


def test_bytes_are_those_of_the_tensors():
    setup, profile = profile_of()
    size, tokens = setup.config.model, setup.tokens_per_step
    layers, wide = size.layers, 4 * size.width
    up = [o for o in profile.operators if o.component == "feedforward" and o.part == "forward"]
    (bend,) = [o for o in up if o.name == "aten::gelu"]
    assert bend.bytes == layers * 2 * tokens * wide * 4 and bend.elements == layers * tokens * wide
    (products,) = [o for o in up if o.name == "aten::addmm"]
    each = [tokens * i + i * o + o + tokens * o for i, o in ((size.width, wide), (wide, size.width))]
    assert products.bytes == 4 * layers * sum(each) and products.elements == 0


@pytest.mark.parametrize("name, works", [
    ("aten::mm", True), ("aten::add_", True), ("aten::sum", True), ("aten::clone", True), ("aten::_fused_adamw_", True),
    ("aten::linear", False), ("aten::view", False), ("aten::empty", False), ("aten::reshape", False),
    ("aten::cross_entropy_loss", False), ("AddmmBackward0", False), ("nothing::there", False),
])
def test_operators_that_work_are_told_from_those_that_only_arrange(name, works):
    assert is_working(name) == works


@pytest.mark.parametrize("optimizer", sorted(name for slot, name in discover() if slot == "optimizer"))
def test_profiling_leaves_every_weight_as_it_is(optimizer):
    setups = [small_setup({"optimizer": optimizer}, run={**RUN, "profile": on}) for on in (True, False)]
    runs = [recorded(setup) for setup in setups]
    assert [r.phase for r in runs[0].readings][-7:] == ["profile"] * 7
    assert all(r.taint == "profile" for r in runs[0].readings[-7:])
    for profiled, other in zip(*(setup.training.model.parameters() for setup in setups), strict=True):
        assert torch.equal(profiled, other)


def test_a_run_without_probes_is_not_profiled():
    assert recorded(small_setup(run={**RUN, "probes": False})).phases == ["warmup", "measure"]


class StopInProfile(ListRecorder):
    """Somebody stops the run when its profile begins."""

    def __init__(self, control: RunControl) -> None:
        super().__init__()
        self._control = control

    def phase(self, name) -> None:
        super().phase(name)
        if name == "profile":
            self._control.stop.set("stopped", "enough")


def test_a_stop_while_it_is_profiled_leaves_a_complete_run():
    control = RunControl()
    recorder = StopInProfile(control)
    loop = loop_of(small_setup(run=RUN), recorder, control)
    loop.run()
    assert loop.is_complete and recorder.phases[-1] == "profile" and not recorder.profiles
    assert "profile" not in {reading.phase for reading in recorder.readings}


def test_a_profiler_that_fails_costs_nothing_but_the_profile(monkeypatch):
    def fail(self):
        raise RuntimeError("no kineto")

    monkeypatch.setattr("tfx_engine.measure.profiling.Profiler.result", fail)
    recorder = recorded(small_setup(run=RUN))
    assert "no kineto" in recorder.reasons["time_ms"] and not recorder.profiles
    assert [code for code, _ in recorder.events if code == "not-profiled"]
