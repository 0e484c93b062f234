"""Runs against a baseline: every figure, and what differs in the configurations."""

from __future__ import annotations

import pytest

from tests.helpers.interleaved import made_up, write_interleaved
from tests.helpers.synthetic_run import make_config, write_run
from tfx_workbench.analysis.comparable import OTHER_DEVICE, OTHER_TASK, remarks, why_not
from tfx_workbench.analysis.compare import OTHER_STEPS, compare_runs, config_diff, effects
from tfx_workbench.analysis.waterfall import waterfall
from tfx_workbench.runs.rundata import RunData


@pytest.fixture
def pair(tmp_path):
    lora = {"adapter": {"use": "lora", "rank": 4}}
    runs = [RunData(write_run(tmp_path / "a.tfx", name="a", steps=40)).load(),
            RunData(write_run(tmp_path / "b.tfx", name="b", steps=40, techniques=lora)).load()]
    yield runs
    for run in runs:
        run.close()


def test_every_metric_has_its_four_figures(pair):
    found, _ = effects(*pair)
    assert {"tokens_per_s", "step_ms", "peak_bytes", "activations_bytes", "trainable_params", "loss"} <= found.keys()
    for effect in found.values():
        assert effect.as_dict().keys() >= {"percent", "low", "high", "distinguishable"}


def test_a_run_against_itself_differs_in_nothing(pair):
    found, _ = effects(pair[0], pair[0])
    known = [effect for effect in found.values() if effect.distinguishable is not None]
    assert known
    assert not any(effect.distinguishable for effect in known)
    assert all(effect.percent == 0 for effect in known)


def test_what_cannot_be_told_has_its_reason(pair):
    found, missing = effects(*pair)
    assert {name for name, effect in found.items() if effect.distinguishable is None} == missing.keys()
    assert "seed" in missing["loss"]


def test_the_configurations_differ_where_they_were_made_to(pair):
    difference = config_diff(pair[0].info.config, pair[1].info.config)
    assert difference["techniques.adapter.use"] == {"baseline": "none", "run": "lora"}
    assert difference["techniques.adapter.rank"] == {"baseline": None, "run": 4}
    assert all(key.startswith("techniques.adapter.") for key in difference), "a name is no difference"


@pytest.fixture
def opened(tmp_path):
    """Opens interleaved runs: `opened("name", rounds, role)`."""
    runs = []

    def open_one(name, rounds, role="member", **more):
        runs.append(RunData(write_interleaved(tmp_path / f"{name}.tfx", rounds, role, **more)).load())
        return runs[-1]

    yield open_one
    for run in runs:
        run.close()


def test_runs_that_took_turns_are_compared_block_by_block(opened):
    base = opened("base", made_up(0), "baseline")
    slower = opened("slower", made_up(1, factor=1.1))
    found, _ = effects(base, slower)
    assert found["step_ms"].percent == pytest.approx(10, abs=3)
    assert found["step_ms"].low < 10 < found["step_ms"].high
    assert found["step_ms"].distinguishable
    assert found["tokens_per_s"].percent == pytest.approx(100 / 1.1 - 100, abs=3)
    assert str(found["step_ms"].method) == (
        "interleaved: mean of 5 processes with 40 blocks, Student's t at 97 %, of which 95 % hold where a comparison "
        "may end early")


def test_the_first_step_after_a_pause_and_the_later_processes_are_no_part_of_the_runs_own_figures(opened):
    run = opened("run", [[[10.0, 10.0]] * 4, [[50.0, 50.0]] * 4])
    assert run.summary()["step_ms"]["median"] == pytest.approx(10)
    assert run.summary()["loss"]["final"] == pytest.approx(3.0 / 13)
    assert len(run.steps) == 13
    assert set(run.turns()["process"]) == {0, 1}


def test_the_first_turn_of_every_process_counts_in_no_block(opened):
    base, other = opened("base", [[[10.0, 10.0]] * 4] * 3, "baseline"), opened("other", [[[11.0, 11.0]] * 4] * 3)
    assert 0 in base.turns()["block"]
    found = effects(base, other)[0]["step_ms"]
    assert found.method.args["blocks"] == 12
    assert (found.low, found.high) == pytest.approx((10, 10))


def test_without_turns_it_is_said_that_drift_is_not_covered(pair):
    found, _ = effects(*pair)
    assert "drift" in str(found["step_ms"].method)
    assert not found["step_ms"].corrected


def test_several_runs_are_corrected_and_say_so(opened, pair):
    base = opened("base", made_up(0), "baseline")
    others = [opened(f"other {i}", made_up(i)) for i in range(1, 4)]
    alone = effects(base, others[0])[0]["step_ms"]
    together = compare_runs(base, others)[0].effects["step_ms"]
    assert (together.corrected, together.family) == (True, 3)
    assert (alone.corrected, alone.family) == (False, 1)
    assert together.low < alone.low < alone.high < together.high
    one_after_the_other = compare_runs(pair[0], [pair[1], pair[1]])[0].effects["step_ms"]
    assert (one_after_the_other.corrected, one_after_the_other.family) == (True, 2)


def test_what_lies_within_the_noise_of_two_equal_runs_is_not_distinguishable(opened):
    base = opened("base", made_up(0, rounds=8), "baseline")
    control = opened("control", made_up(1, factor=1.08, rounds=8), "control")
    other = opened("other", made_up(2, factor=1.08, rounds=8))
    of_control, of_other = compare_runs(base, [control, other])
    assert of_control.is_control and not of_other.is_control
    band = of_other.effects["step_ms"].noise_band
    assert band == pytest.approx(of_control.effects["step_ms"].high)
    assert of_other.effects["step_ms"].low > 0, "the interval alone would call it a difference"
    assert of_other.effects["step_ms"].distinguishable is False
    assert effects(base, other)[0]["step_ms"].distinguishable is True
    assert effects(base, other, noise_band=30.0)[0]["step_ms"].distinguishable is False


def test_of_a_run_that_broke_off_what_both_have_is_compared(opened):
    base = opened("base", made_up(0, rounds=5), "baseline")
    cut = opened("cut", made_up(1, rounds=2), status="failed", reason="Out of memory.")
    method = effects(base, cut)[0]["step_ms"].method
    assert (method.args["processes"], method.args["blocks"]) == (2, 16)
    nothing = opened("nothing", made_up(1, rounds=1)[:1], comparison="another")
    assert "drift" in str(effects(base, nothing)[0]["step_ms"].method), "of another comparison"


def test_one_process_each_says_what_it_does_not_cover(opened):
    base = opened("base", made_up(0, rounds=1), "baseline")
    found, _ = effects(base, opened("other", made_up(1, rounds=1, factor=1.2)))
    assert "restart" in str(found["step_ms"].method)
    assert found["step_ms"].distinguishable


# ---------------------------------------------------------------------------------------- what is comparable


@pytest.mark.parametrize("facts", [
    {"device": {"kind": "cuda", "name": "Another device"}}, {"threads": 64},
], ids=["device", "threads"])
def test_times_and_bytes_of_different_devices_are_not_compared_and_in_no_family(tmp_path, facts):
    base, same, other = (RunData(write_run(tmp_path / f"{n}.tfx", name=n, steps=20)).load() for n in ("a", "b", "c"))
    other.facts.update(facts)
    of_same, of_other = compare_runs(base, [same, other])
    assert {of_other.missing.get(name) for name in ("tokens_per_s", "step_ms", "peak_bytes")} == {OTHER_DEVICE}
    assert all(of_other.effects[name].distinguishable is None for name in ("tokens_per_s", "step_ms", "peak_bytes"))
    assert of_other.effects["total_params"].percent == 0
    assert not of_same.effects["step_ms"].corrected and "step_ms" not in of_same.missing
    assert "times and bytes are not compared" in " ".join(map(str, remarks(base, other)))
    assert waterfall("time", base, other).missing == waterfall("memory", base, other).missing == OTHER_DEVICE
    for run in (base, same, other):
        run.close()


def test_losses_of_different_tasks_are_not_compared_and_those_of_different_lengths_say_so(tmp_path):
    base, longer, other = (RunData(write_run(tmp_path / f"{n}.tfx", make_config(n, steps=steps))).load()
                           for n, steps in (("a", 30), ("b", 40), ("c", 30)))
    other.info.config["data"]["task"] = "copy"
    of_longer, of_other = compare_runs(base, [longer, other])
    assert of_longer.effects["loss"].percent < 0 and of_longer.missing["loss"] == OTHER_STEPS
    assert "of step 43, the baseline that of step 33" in " ".join(map(str, remarks(base, longer)))
    assert of_other.missing["loss"] == OTHER_TASK and of_other.effects["loss"].as_dict()["percent"] is None
    assert of_other.missing["step_ms"] == of_other.missing["tokens_per_s"] == OTHER_TASK, "other data are other work"
    assert of_longer.effects["step_ms"].family == 1, "and in no family"
    assert of_other.effects["total_params"].percent is not None
    longer.facts["corpus"], base.facts["corpus"] = {"sha256": "one"}, {"sha256": "another"}
    assert why_not(base, longer, "tokens_per_s") == why_not(base, longer, "loss.held_out") == OTHER_TASK
    longer.info.config["data"]["path"], longer.facts["corpus"] = "elsewhere.txt", base.facts["corpus"]
    assert not why_not(base, longer, "loss"), "the same text under another name"
    for run in (base, longer, other):
        run.close()
