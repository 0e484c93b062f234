"""The plan of an ablation: how many runs each design asks for, each once, all legal; what is skipped says why."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfx_engine.protocol.cards import load_catalogue
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.problems import ConfigError, Problem
from tfx_workbench.analysis.ablation import (
    MOST_RUNS,
    Request,
    count_runs,
    make_plan,
    request_from,
)
from tfx_workbench.analysis.designs import DESIGNS
from tfx_workbench.analysis.factors import Factor, parse_over, spread

CATALOGUE = load_catalogue()
BASE = {"name": "base", "model": {"width": 64, "layers": 2}}


def over(*texts):
    return tuple(parse_over(text, CATALOGUE) for text in texts)


def names(plan):
    return [cell.config["name"] for cell in plan.cells]


def refusal(request):
    with pytest.raises(ConfigError) as caught:
        make_plan(request)
    return caught.value.problems


# ---------------------------------------------------------------------------------------------- designs


def test_one_at_a_time_is_the_base_and_each_level_alone():
    plan = make_plan(Request(BASE, "one-at-a-time", over("position=rotary,alibi", "norm=rms_norm")))
    assert names(plan) == ["base", "rotary", "ALiBi", "RMS norm"]
    assert plan.cells[0].changed == {} and plan.cells[1].changed == {"techniques.position": "rotary"}
    assert plan.cells[1].levels == {"techniques.position": "rotary", "techniques.norm": "layer_norm"}


def test_leave_one_out_is_everything_and_all_but_one():
    plan = make_plan(Request(BASE, "leave-one-out", over("position=rotary", "norm=rms_norm", "recompute=every_block")))
    assert names(plan) == ["base: all", "without rotary", "without RMS norm", "without recompute"]
    left_out = plan.cells[1].config["techniques"]
    assert "position" not in left_out and left_out["norm"] == {"use": "rms_norm"}


def test_leaving_out_what_the_base_has_goes_back_to_the_default():
    base = {**BASE, "techniques": {"norm": "rms_norm", "position": {"use": "rotary", "base": 500.0}}}
    plan = make_plan(Request(base, "leave-one-out", over("norm=rms_norm", "position=rotary")))
    assert names(plan) == ["base: all", "without RMS norm", "without rotary"]
    assert plan.cells[0].config["techniques"] == base["techniques"], "the base's own options stay"
    assert plan.cells[1].config["techniques"]["norm"] == {"use": "layer_norm"}


def test_a_factorial_is_every_combination_with_the_base_first():
    plan = make_plan(Request(BASE, "factorial", over("position=rotary,alibi", "norm=rms_norm", "model.layers=4")))
    assert len(plan.cells) == 3 * 2 * 2 and names(plan)[0] == "base"
    assert "rotary, RMS norm, layers 4" in names(plan)


def test_a_sweep_goes_over_values_and_keeps_the_base():
    plan = make_plan(Request(BASE, "sweep", over("width=32..256:log:4")))
    assert names(plan) == ["base", "width 32", "width 128", "width 256"]
    (problem,) = refusal(Request(BASE, "sweep", over("norm=rms_norm")))
    assert "slot" in problem.message and "one-at-a-time" in problem.hint


def test_seeds_repeat_every_configuration():
    plan = make_plan(Request({**BASE, "seed": 5}, "one-at-a-time", over("norm=rms_norm"), seeds=3))
    assert [(c.config["seed"], c.seed) for c in plan.cells] == [(5, 0), (6, 1), (7, 2)] * 2
    assert len(set(names(plan))) == 6 and "seed 6" in names(plan)[1]


def test_what_the_rules_forbid_is_skipped_with_its_reason():
    plan = make_plan(Request(BASE, "factorial", over("kernel=flash", "softcap=tanh")))
    legal = [cell for cell in plan.cells if not parse_config(cell.config)[1]]
    assert len(legal) == len(plan.cells) and len(plan.cells) + len(plan.skipped) == 4
    assert plan.skipped and all(s.problems and s.reason for s in plan.skipped)
    assert "flash" in plan.skipped[0].name


def test_an_option_that_only_some_have_is_skipped_elsewhere():
    plan = make_plan(Request(BASE, "factorial", over("adapter=lora", "adapter.rank=2,4")))
    assert [c.changed.get("techniques.adapter.rank") for c in plan.cells] == [None, None, "2", "4"]
    assert len(plan.skipped) == 2 and "rank" in plan.skipped[0].reason


SLOTS = [s.name for s in CATALOGUE.slots if s.name not in ("compile", "offload")]
FACTORS = st.lists(st.sampled_from(SLOTS), min_size=1, max_size=3, unique=True).flatmap(
    lambda slots: st.tuples(*(
        st.lists(st.sampled_from([t.name for t in CATALOGUE.in_slot(slot)]), min_size=1, max_size=3, unique=True)
        .map(lambda levels, slot=slot: Factor(f"techniques.{slot}", tuple({"use": name} for name in levels)))
        for slot in slots)))


@settings(max_examples=60, deadline=None)
@given(FACTORS, st.sampled_from(DESIGNS[:3]), st.integers(1, 2))
def test_of_any_design_every_run_is_legal_and_there_once(factors, design, seeds):
    request = Request(BASE, design, factors, seeds)
    try:
        plan = make_plan(request)
    except ConfigError as error:
        assert {p.code for p in error.problems} <= {"one-level", "does-not-fit"}
        return
    assert len(plan.cells) + seeds * len(plan.skipped) == count_runs(request)
    keys = [cell.key for cell in plan.cells]
    assert len(set(keys)) == len(keys)
    whole = [{**parse_config(cell.config)[0].as_dict(), "name": ""} for cell in plan.cells]
    assert all(whole.index(one) == i for i, one in enumerate(whole))
    assert not any(parse_config(cell.config)[1] for cell in plan.cells)
    assert make_plan(request_from(request.as_dict())) == plan, "the same request is the same plan"


def test_the_same_request_has_the_same_id_and_another_has_not():
    request = Request(BASE, "one-at-a-time", over("norm=rms_norm"))
    ids = {make_plan(r).id for r in (
        request, Request({**BASE, "name": "x"}, request.design, request.factors),
        Request({**BASE, "techniques": {}}, request.design, request.factors))}
    assert len(ids) == 1, "a name is no difference, nor how it was written"
    orders = [over("norm=rms_norm", "position=rotary,alibi"), over("position=alibi,rotary", "norm=rms_norm")]
    assert len({make_plan(Request(BASE, "factorial", factors)).id for factors in orders}) == 1, "nor the order"
    others = (Request(BASE, "factorial", request.factors), Request(BASE, request.design, over("norm=dynamic_tanh")))
    for other in others:
        assert make_plan(other).id not in ids


def test_what_the_engine_refuses_is_skipped_too():
    plan = make_plan(Request(BASE, "one-at-a-time", over("norm=rms_norm", "position=rotary")))
    problem = Problem(code="x", path="run.device", template="is not here.")
    left = plan.without({1: [problem]})
    assert names(left) == ["base", "rotary"] and left.skipped[-1].reason == "run.device: is not here."


# ---------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(("request_", "code"), [
    (Request(BASE, "one-at-a-time", ()), "empty-design"),
    (Request(BASE, "latin-square", over("norm=rms_norm")), "unknown-design"),
    (Request(BASE, "factorial", over("norm=layer_norm")), "one-level"),
    (Request(BASE, "factorial", over("norm=rms_norm", "norm=dynamic_tanh")), "twice"),
    (Request(BASE, "factorial", over("norm=rms_norm"), seeds=0), "out-of-range"),
    (Request({**BASE, "model": {"width": 7}}, "factorial", over("norm=rms_norm")), "heads-do-not-divide"),
    (Request(BASE, "sweep", over("model.layers=1..900:900", "model.context=8..900:800")), "too-many-runs"),
])
def test_a_request_that_makes_no_sense_is_refused_in_words(request_, code):
    problems = refusal(request_)
    assert code in [p.code for p in problems] and all(p.sentence() for p in problems)


def test_a_huge_factorial_is_counted_without_being_made():
    slots = [s.name for s in CATALOGUE.slots][:10]
    factors = tuple(Factor(f"techniques.{slot}", tuple({"use": t.name} for t in CATALOGUE.in_slot(slot)))
                    for slot in slots)
    request = Request(BASE, "factorial", factors)
    assert count_runs(request) == math.prod(len(CATALOGUE.in_slot(slot)) for slot in slots) > 10**6
    (problem,) = refusal(request)
    assert f"{MOST_RUNS:,}" in problem.message and "one-at-a-time" in problem.hint


@pytest.mark.parametrize("text", [
    "norm", "norm=", "=rms_norm", "norm=rms", "nrom=rms_norm", "wdth=4", "width=4..2:3", "width=0..8:log:3",
    "width=4..", "width=1..9:1", "width=1..9:x",
])
def test_a_factor_that_cannot_be_read_is_refused_with_a_hint(text):
    with pytest.raises(ConfigError) as caught:
        parse_over(text, CATALOGUE)
    (problem,) = caught.value.problems
    assert problem.hint


def test_values_and_ranges():
    assert over("width=8,16..64:log:3,8")[0] == Factor("model.width", (8, 16, 32, 64))
    assert over("optimizer.learning_rate=0.001..0.1:log:3")[0].levels == (0.001, 0.01, 0.1)
    assert over("adapter.rank=2")[0].path == "techniques.adapter.rank"
    assert over("run.batch=2..8:4")[0].levels == (2, 4, 6, 8)
    assert over("model.bias=true,false")[0].levels == (True, False)
    assert spread(1, 3, 9, is_log=False, is_whole=True) == [1, 2, 3], "each once"
