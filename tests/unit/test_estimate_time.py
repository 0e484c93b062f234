"""The predicted time of a step: what its operators are, what each costs, and what earlier runs teach."""

from __future__ import annotations

import msgspec
import pytest
import torch

from tests.helpers.ceilings import made_up, this_cpu
from tests.helpers.tiny import tiny_config
from tfx_engine.estimate import flops_per_token
from tfx_engine.estimate.time import (
    TERMS,
    Operator,
    Past,
    StepTime,
    bandwidth,
    learn,
    own_error_percent,
    step_time,
)
from tfx_engine.protocol.ceilings import (
    CopyRate,
    PastRun,
    ProductRate,
    add_past,
    load_past,
    past_file,
    save_ceilings,
)
from tfx_engine.trace.look import operators_of
from tfx_engine.trace.time import Unknown, step_ms
from tfx_engine.worker.predicting import figures

CPU = torch.device("cpu")
HERE = made_up(this_cpu(1), 1e11)
TAUGHT = {"products": 1.3, "attention": 1.0, "elementwise": 0.8, "optimizer": 1.0, "starting": 2.0}


def products_flops(config):
    found = operators_of(config, CPU)
    return sum(calls * operator.flops for operator, calls in found.items())


@pytest.mark.parametrize("techniques", [
    {}, {"kernel": "eager", "recompute": "every_block"}, {"feedforward": "swiglu", "head": "untied"},
    {"attention": {"use": "grouped_query", "kv_heads": 1}, "position": "rotary"}, {"adapter": "lora"},
], ids=str)
def test_the_operators_of_a_step_multiply_what_the_closed_form_says(techniques):
    config = tiny_config(techniques, model={"layers": 7})
    tokens = config.run.batch * config.model.context
    assert products_flops(config) == pytest.approx(flops_per_token(config).hardware * tokens)


def test_every_layer_adds_the_same_operators_however_deep():
    shallow, deep = (operators_of(tiny_config(model={"layers": n}), CPU) for n in (3, 9))
    longer = operators_of(tiny_config(model={"layers": 6}), CPU)
    for what in (lambda o: 1, lambda o: o.flops, lambda o: o.bytes):
        low, middle, high = (_total(found, what) for found in (shallow, longer, deep))
        assert high.keys() == middle.keys() == low.keys()
        for name in high:
            assert high[name] - middle[name] == pytest.approx(middle[name] - low[name], abs=1), name


def _total(operators, what):
    found = dict.fromkeys((o.name for o in operators), 0.0)
    for operator, calls in operators.items():
        found[operator.name] += calls * what(operator)
    return found


def test_bytes_are_those_that_operators_read_and_write():
    config = tiny_config({"feedforward": {"use": "gelu", "width": 12}})
    (gelu,) = (o for o in operators_of(config, CPU) if o.name == "gelu")
    assert gelu.bytes == 2 * 4 * config.run.batch * config.model.context * 12
    found = operators_of(config, CPU)
    (update,) = (o for o in found if o.name == "_fused_adamw_" and found[o] and o.bytes > 8000)
    assert update.what == "optimizer"


def test_of_a_table_only_what_is_looked_up_is_read():
    tables = [operators_of(tiny_config(model={"vocab": vocab}), CPU) for vocab in (64, 6400)]
    small, large = ({o.name: o.bytes for o in found if o.name in ("embedding", "nll_loss_forward")} for found in tables)
    assert small == large and set(small) == {"embedding", "nll_loss_forward"}


def test_a_product_takes_its_flops_at_the_rate_of_its_neighbours():
    rates = tuple(ProductRate(format="float32", rows=n, inner=n, columns=n, flops_per_s=r)
                  for n, r in ((128, 1e10), (512, 1e11)))
    ceilings = msgspec.structs.replace(HERE, products=rates, dispatch_us=0.0)

    def ms(n):
        product = Operator("mm", "product", "float32", (n, n, n), flops=2 * n**3)
        return step_time({product: 1.0}, ceilings).terms["products"]

    assert ms(512) == pytest.approx(2e3 * 512**3 / 1e11)
    assert ms(128) == pytest.approx(2e3 * 128**3 / 1e10)
    assert 1e10 < 2e3 * 256**3 / ms(256) < 1e11
    half = Operator("mm", "product", "bfloat16", (512, 512, 512), flops=2 * 512**3)
    assert step_time({half: 1.0}, ceilings).terms["products"] == pytest.approx(ms(512) / 2)  # by the peaks


def test_other_operators_take_their_bytes_at_their_own_rate_or_the_memorys():
    copies = (CopyRate(bytes=2**20, bytes_per_s=1e11), CopyRate(bytes=2**28, bytes_per_s=1e10))
    ceilings = msgspec.structs.replace(HERE, copies=copies, operators={"gelu": 2e10}, dispatch_us=0.0)
    assert bandwidth(copies, 2**10) == 1e11
    assert bandwidth(copies, 2**40) == 1e10
    small, large = 2**20, 2**29
    for name, size, rate in (("gelu", small, 2e10), ("gelu", large, 1e10), ("add", small, 1e11), ("add", large, 1e10)):
        operator = Operator(name, "other", bytes=size)
        assert step_time({operator: 3.0}, ceilings).terms["elementwise"] == pytest.approx(3e3 * size / rate), name


def test_beside_a_queue_the_slower_of_host_and_device_counts_and_both_where_they_are_alike():
    terms = {"products": 3.0, "attention": 1.0, "elementwise": 0.0, "optimizer": 0.0, "starting": 2.0}
    assert StepTime(terms, is_queued=False).total_ms() == 6.0
    assert 4.0 < StepTime(terms, is_queued=True).total_ms() < 6.0
    assert StepTime({**terms, "starting": 900.0}, is_queued=True).total_ms() == pytest.approx(900.0, rel=0.001)
    assert StepTime({**terms, "products": 900.0}, is_queued=True).total_ms() == pytest.approx(901.0, rel=0.001)
    assert StepTime(terms, is_queued=False).total_ms({"products": 2.0}) == 9.0


def runs(count, noise=0.0):
    found = []
    for i in range(count):
        terms = {name: 1.0 + 3.0 * ((7 * i + 3 * j) % 5) for j, name in enumerate(TERMS)}
        time = StepTime(terms, is_queued=False)
        found.append(Past(time, time.total_ms(TAUGHT) * (1 + noise * (-1) ** i)))
    return found


def test_runs_teach_what_each_term_really_costs():
    assert learn([]) == dict.fromkeys(TERMS, 1.0)
    past = runs(12)
    for name, factor in learn(past).items():
        assert factor == pytest.approx(TAUGHT[name], abs=0.25), name
    assert own_error_percent(past) < 5.0 < own_error_percent(runs(12, noise=0.2))
    assert own_error_percent(past[:2]) is None


def test_one_run_moves_the_prediction_towards_it():
    (one,) = runs(1)
    before, after = abs(one.time.total_ms() - one.measured_ms), abs(one.time.total_ms(learn([one])) - one.measured_ms)
    assert after < 0.3 * before


def test_what_the_host_takes_is_not_learnt_from_runs_that_wait_for_the_device():
    terms = {"products": 9.0, "attention": 0.0, "elementwise": 0.0, "optimizer": 0.0, "starting": 1.0}
    factors = learn([Past(StepTime(terms, is_queued=True), 18.0)] * 5)
    assert factors["starting"] == pytest.approx(1.0, abs=0.05)
    assert factors["products"] == pytest.approx(2.0, rel=0.1)


def test_slopes_on_a_queue_are_those_of_the_whole():
    terms = {"products": 9.0, "attention": 2.0, "elementwise": 4.0, "optimizer": 1.0, "starting": 7.0}
    time, factors = StepTime(terms, is_queued=True), {**dict.fromkeys(TERMS, 1.0), "starting": 1.3, "products": 0.8}
    for name, slope in time.slopes(factors).items():
        moved = {**factors, name: factors[name] + 1e-6}
        assert slope == pytest.approx((time.total_ms(moved) - time.total_ms(factors)) / 1e-6, rel=1e-4), name


def test_many_products_in_one_call_are_as_fast_on_a_card_as_one_of_all_their_rows():
    def rates(kind):
        there = msgspec.structs.replace(HERE.circumstances, kind=kind)
        products = tuple(ProductRate(format="float32", rows=rows, inner=64, columns=64, flops_per_s=rate)
                         for rows, rate in ((64, 1e9), (64 * 192, 1e12)))
        return msgspec.structs.replace(HERE, circumstances=there, products=products, dispatch_us=0.0)

    many = Operator("bmm", "product", "float32", (64, 64, 64), flops=192 * 2 * 64**3)
    assert step_time({many: 1.0}, rates("cuda")).terms["products"] == pytest.approx(1e3 * many.flops / 1e12)
    assert step_time({many: 1.0}, rates("cpu")).terms["products"] == pytest.approx(1e3 * many.flops / 1e9)


def test_a_prediction_comes_with_the_error_of_its_own_runs():
    config = tiny_config()
    ms, error = step_ms(config, HERE)
    assert ms > 0
    assert error is None
    assert step_ms(config, HERE, runs(6))[1] is not None


def test_a_step_that_cannot_be_known_says_why():
    with pytest.raises(Unknown, match="compiler"):
        step_ms(tiny_config({"compile": "default"}), HERE)
    elsewhere = msgspec.structs.replace(HERE.circumstances, kind="nowhere")
    with pytest.raises(Unknown, match="cannot be traced"):
        step_ms(tiny_config(), msgspec.structs.replace(HERE, circumstances=elsewhere))


def test_the_time_of_experts_is_that_of_evenly_used_ones():
    assert step_ms(tiny_config({"feedforward": "mixture_of_experts"}), HERE)[0] > 0


def test_runs_are_kept_one_a_line_and_a_cut_line_costs_one_run(tmp_path, monkeypatch):
    monkeypatch.setenv("TFX_HOME", str(tmp_path))
    here, other = this_cpu(1), msgspec.structs.replace(this_cpu(1), torch="0.1")
    assert load_past(here) == []
    run = PastRun(circumstances=here, terms={"products": 1.0}, measured_ms=2.0)
    for one in (run, msgspec.structs.replace(run, circumstances=other), run):
        add_past(one)
    with past_file(here).open("ab") as file:
        file.write(b'{"circumstances"')
    assert load_past(here) == [run, run]


def test_the_traced_estimate_has_the_time_of_a_step_where_the_device_was_measured(tmp_path, monkeypatch):
    monkeypatch.setenv("TFX_HOME", str(tmp_path))
    config = tiny_config(run={"threads": 1})
    found = figures(config, "traced")
    assert found["step_ms"] is None
    assert "doctor --measure" in found["missing"]["step_ms"]
    save_ceilings(HERE)
    found = figures(config, "traced")
    assert found["step_ms"] == pytest.approx(step_ms(config, HERE)[0])
    assert found["step_ms_error_percent"] is None
    assert "Too few runs" in found["missing"]["step_ms_error_percent"]
    for past in runs(6):
        add_past(PastRun(circumstances=this_cpu(1), terms=dict(past.time.terms), measured_ms=past.measured_ms))
    assert figures(config, "traced")["step_ms_error_percent"] > 0
    assert figures(config, "instant")["step_ms"] is None
