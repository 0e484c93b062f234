"""What predictions state of their own error: that of the user's own runs, level by level, compiled ones apart."""

from __future__ import annotations

import itertools

import pytest

import tfx_engine.api as tfx
from tests.helpers.stated import is_no_worse
from tfx_engine.protocol.ledger import ENOUGH, LEAST, MOST, PastPeak, add_peak, kept, ledger_file, own_error
from tfx_engine.runfile.create import create
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.worker import predicting
from tfx_engine.worker.foretold import LEAST_STEPS, Foretold
from tfx_engine.worker.predicting import BENCHED, figures
from tfx_workbench.exhibits.stated_error import found_on, within

SMALL = {"model": {"width": 32, "layers": 1, "heads": 2, "context": 32}, "data": {"task": "copy"},
         "run": {"batch": 4, "device": "cpu", "threads": 1}}


_NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TFX_HOME", str(tmp_path))
    return tmp_path


def past(error_percent: float, measured_bytes: int = 0, **more) -> PastPeak:
    """Of a configuration of its own each time, unless one is said by its peak."""
    measured_bytes = measured_bytes or 10_000_000 + 10_000 * next(_NUMBERS)
    given = {"kind": "cpu", "level": "traced", "compiled": False, "measured_bytes": measured_bytes,
             "predicted_bytes": round(measured_bytes * (1 + error_percent / 100))}
    return PastPeak(**{**given, **more})


def test_repeats_of_one_configuration_are_one_of_a_hundred_and_not_many():
    for _ in range(4 * LEAST):
        add_peak(past(1.0, 20_000_000))
    assert own_error("cpu", "traced", compiled=False) is None and len(kept()) == 1
    for error in range(2, LEAST + 1):
        add_peak(past(error))
    add_peak(past(1.0, 20_000_000))
    assert own_error("cpu", "traced", compiled=False).runs == LEAST and kept()[-1].error_percent == pytest.approx(1.0)


def test_the_newest_runs_of_a_level_say_its_error():
    for _ in range(10):
        add_peak(past(50.0))
    for i in range(MOST):
        add_peak(past(0.1 * (i + 1)))
        add_peak(past(30.0, level="instant"))
        add_peak(past(-20.0, compiled=True))
    found = own_error("cpu", "traced", compiled=False)
    assert found.runs == MOST and found.median == pytest.approx(2.05) and found.within_95 == pytest.approx(3.8, abs=0.1)
    assert own_error("cpu", "instant", compiled=False).median == pytest.approx(30.0)
    assert own_error("cpu", "traced", compiled=True).median == pytest.approx(20.0)
    assert own_error("cuda", "traced", compiled=False) is None


def test_few_runs_say_nothing_and_some_say_their_worst():
    for _ in range(LEAST - 1):
        add_peak(past(1.0))
    assert own_error("cpu", "traced", compiled=False) is None
    add_peak(past(-7.0))
    found = own_error("cpu", "traced", compiled=False)
    assert LEAST < ENOUGH and found.within_95 == pytest.approx(7.0) and found.median == pytest.approx(1.0)


def test_a_line_that_was_cut_off_costs_one_run():
    for _ in range(LEAST):
        add_peak(past(1.0))
    with ledger_file().open("ab") as file:
        file.write(b'{"kind": "cpu", "lev')
    assert own_error("cpu", "traced", compiled=False).runs == LEAST


def test_what_an_interval_encloses_is_no_error():
    enclosed = past(10.0, 10_000_000, low_bytes=9_000_000, high_bytes=12_000_000)
    assert enclosed.error_percent == 0.0
    beyond = past(10.0, 10_000_000, low_bytes=10_500_000, high_bytes=12_000_000)
    assert beyond.error_percent == pytest.approx(5.0)


def test_an_estimate_states_the_benches_error_until_there_are_own_runs():
    config = tfx.load_config(SMALL)
    first = figures(config)
    assert first["error_runs"] == 0 and first["error_95_percent"] > first["error_percent"] > 0
    for _ in range(LEAST):
        add_peak(past(3.0, level="instant"))
    later = figures(config)
    assert later["error_runs"] == LEAST and later["error_percent"] == pytest.approx(3.0)


def test_the_words_say_what_nearly_all_stay_within_and_not_the_median_alone():
    closed, found = (figures(tfx.load_config(SMALL), level, with_time=False) for level in ("instant", "traced"))
    assert str(within(closed)) == "half of them within 0.6 %, 95 of 100 within 15 %"
    assert str(within(found)) == "half of them within 0.001 %, 95 of 100 within 0.03 %"
    assert str(found_on(closed)) == "random configurations on a CPU, until there are runs of your own"
    own = {**closed, "error_percent": 0.0, "error_95_percent": 2.0, "error_runs": 40}
    assert (str(within(own)), str(found_on(own))) == ("half of them within 0.001 %, 95 of 100 within 2 %",
                                                      "the last 40 configurations that you ran")


def test_what_was_benched_on_a_card_is_said_of_one_that_is_here(monkeypatch):
    config = tfx.load_config({**SMALL, "run": {"batch": 4, "device": "cuda"}})
    monkeypatch.setattr(predicting, "kind_here", lambda kind: "cpu")
    found = figures(config, "traced", with_time=False)
    assert found["error_percent"] is None and "not here" in found["missing"]["error_percent"]
    assert found["margin_percent"] == BENCHED["cuda", "traced"].within_95
    monkeypatch.setattr(predicting, "kind_here", lambda kind: kind)
    found = figures(config, "traced", with_time=False)
    assert found["error_percent"] == BENCHED["cuda", "traced"].median and "H200" in str(found_on(found))


def test_a_kind_of_device_that_was_never_benched_has_no_error_and_the_reason():
    level = "instant"
    config = tfx.load_config({**SMALL, "run": {"batch": 4, "device": "cuda"}})
    unknown = figures(config, level, with_time=False)
    assert unknown["error_percent"] is None and unknown["error_95_percent"] is None
    assert "never measured" in unknown["missing"]["error_percent"]
    for _ in range(LEAST):
        add_peak(past(3.0, level=level, kind="cuda"))
    assert figures(config, level, with_time=False)["error_percent"] == pytest.approx(3.0)


def test_a_bench_that_finds_worse_than_is_stated_fails():
    stated = BENCHED["cpu", "instant"]
    assert is_no_worse([0.1] * 120 + [-10.0] * 80, stated)
    assert not is_no_worse([0.1] * 180 + [16.0] * 20, stated), "a tenth beyond what 95 of 100 stay within"
    assert not is_no_worse([0.1] * 80 + [-1.0] * 120, stated), "more than half beyond the median"


def test_whether_it_fits_is_asked_of_nearly_all_predictions_and_not_of_half_of_them():
    config = tfx.load_config(SMALL)
    for error in [0.1] * 30 + [8.0] * 5:
        add_peak(past(error, level="instant"))
    peak = figures(config)["memory_bytes"]["peak"]
    assert figures(config, device_memory=round(1.09 * peak))["fits"] is True
    assert figures(config, device_memory=round(1.02 * peak))["fits"] is None
    assert figures(config, device_memory=round(0.9 * peak))["fits"] is False


def test_a_compiled_configuration_is_predicted_as_without_the_compiler_and_says_so():
    config = tfx.load_config({**SMALL, "techniques": {"compile": {"use": "default"}}})
    unknown = figures(config, "traced", with_time=False)
    assert unknown["as_without_compiler"] and unknown["error_percent"] is None
    assert "not known yet" in unknown["missing"]["error_percent"]
    for _ in range(LEAST):
        add_peak(past(-12.0, compiled=True))
        add_peak(past(0.0))
    known = figures(config, "traced", with_time=False)
    assert known["error_percent"] == pytest.approx(12.0) and known["error_runs"] == LEAST
    assert "without compiling" in known["missing"]["compiled"]


def test_experts_give_an_interval_and_the_closed_form_says_that_it_has_none():
    experts = {"feedforward": {"use": "mixture_of_experts", "experts": 4, "top_k": 1, "width": 512}}
    config = tfx.load_config({**SMALL, "techniques": experts})
    interval = figures(config, "traced", with_time=False)["peak_interval_bytes"]
    assert interval["low"] < interval["high"]
    instant = figures(config)
    assert instant["peak_interval_bytes"] == {"low": None, "high": None}
    assert "traced" in instant["missing"]["peak_interval_bytes"]


def test_a_run_teaches_both_levels(tmp_path):
    config = tfx.load_config(SMALL)
    path = tmp_path / "run.tfx"
    create(path, config, "")
    with RunWriter(path) as writer:
        foretold = Foretold(config, writer)
        foretold.note_instant()
        foretold.note_traced(LEAST_STEPS)
        foretold.compare(2_000_000)
    lines = ledger_file().read_text().splitlines()
    assert ['"instant"' in line for line in lines] == [True, False] and '"traced"' in lines[1]
    assert all('"measured_bytes":2000000' in line for line in lines)
