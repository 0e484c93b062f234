"""The verdict on a claim, from numbers that were made up."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.stats

from tfx_engine.protocol.experiment_files import shipped_experiments
from tfx_engine.protocol.experiments import Expectation, Experiment, Variant
from tfx_workbench.analysis.comparable import OTHER_DEVICE, OTHER_TASK
from tfx_workbench.analysis.findings import interval
from tfx_workbench.analysis.verdict import judge

WORDS = {"format": 1, "number": "1", "title": "", "topic": "", "claim": "", "paper": "", "tests": "", "advice": ""}


def judged(values: dict[str, list[float | None]], **expectation):
    """One expectation about a metric "m" of variants with a number for each seed."""
    seeds = tuple(range(max(map(len, values.values()))))
    variants = {name: Variant(x=float(i + 1), once=len(v) == 1 < len(seeds))
                for i, (name, v) in enumerate(values.items())}  # fmt: skip
    expect = Expectation(says="", metric="m", **expectation)
    experiment = Experiment(**WORDS, seconds=1, variants=variants, expect=(expect,), seeds=seeds)
    numbers = {name: {seed: {"m": v} for seed, v in enumerate(all_)} for name, all_ in values.items()}
    found = judge(experiment, numbers)
    assert found.verdict == found.findings[0].verdict
    return found.findings[0]


GAP = {"statistic": "difference", "of": "a", "to": "b", "at_least": 0.25}


@pytest.mark.parametrize(("a", "verdict"), [
    ([0.90, 0.91, 0.89], "holds"),    # 0.4 above, whatever the seed
    ([0.80, 0.90, 0.55], "unclear"),  # reaches the size on average, yet might be nothing
    ([0.60, 0.61, 0.59], "fails"),    # an effect for sure, but smaller than is claimed
    ([0.20, 0.21, 0.19], "fails"),    # the other way round
    ([0.72, 0.80, 0.69], "unclear"),  # an effect for sure, of about the size but not reaching it
])  # fmt: skip
def test_a_gap_holds_fails_or_cannot_be_told(a, verdict):
    assert judged({"a": a, "b": [0.5, 0.5, 0.5]}, **GAP).verdict == verdict


def test_a_gap_whose_size_is_reached_on_average_holds_where_nothing_is_left_out():
    found = judged({"a": [0.9, 0.8, 0.65], "b": [0.5, 0.5, 0.5]}, **{**GAP, "at_least": 0.2})
    assert found.verdict == "unclear" and found.low < 0
    found = judged({"a": [0.9, 0.8, 0.75], "b": [0.5, 0.5, 0.5]}, **{**GAP, "at_least": 0.3})
    assert found.verdict == "holds" and 0 < found.low < 0.3 <= found.value


@pytest.mark.parametrize("seeds", [2, 3, 5, 12, 31])
def test_the_interval_is_that_of_students_t(seeds):
    a, b = np.random.default_rng(seeds).normal(size=(2, seeds))
    a = a + 5
    found = judged({"a": list(a), "b": list(b)}, **GAP)
    want = scipy.stats.ttest_1samp(a - b, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((want.low, want.high), rel=1e-3)


def test_a_range_must_hold_the_whole_interval():
    inside = {"statistic": "ratio", "of": "a", "to": "b", "at_least": 0.9, "at_most": 1.1}
    assert judged({"a": [1.0, 1.01], "b": [1.0, 1.01]}, **inside).verdict == "holds"
    assert judged({"a": [1.0, 1.05], "b": [1.0, 1.0]}, **inside).verdict == "unclear"
    assert judged({"a": [1.5, 1.51], "b": [1.0, 1.0]}, **inside).verdict == "fails"


def test_exact_numbers_need_no_interval_and_all_of_them_must_be_right():
    exactly = {"statistic": "ratio", "of": "a", "to": "b", "at_least": 1, "at_most": 1, "exact": True}
    assert judged({"a": [5.0], "b": [5.0]}, **exactly).verdict == "holds"
    assert judged({"a": [5.0, 5.0], "b": [5.0, 5.0001]}, **exactly).verdict == "fails"
    assert interval(judged({"a": [5.0], "b": [5.0]}, **exactly)) == "1"
    assert judged({"a": [5.0, None], "b": [5.0, 5.0]}, **exactly).verdict == "holds", "no other seed would say more"
    assert judged({"a": [None, None], "b": [5.0, 5.0]}, **exactly).verdict == "unmeasured"


def test_what_is_missing_or_no_number_is_not_measured():
    for a in ([0.9, None, 0.9], [0.9, float("nan"), 0.9]):
        assert judged({"a": a, "b": [0.5, 0.5, 0.5]}, **GAP).verdict == "unmeasured"
    nothing = {"statistic": "ratio", "of": "a", "to": "b", "at_least": 1}
    assert judged({"a": [1.0, 1.0], "b": [0.0, 0.0]}, **nothing).verdict == "unmeasured"


SPEED = {"statistic": "ratio", "of": "a", "to": "b", "at_least": 1.1}


def of_experiment(metric, devices=None, tasks=("text", "text")):
    variants = {name: Variant(data={"task": task}) for name, task in zip("ab", tasks, strict=True)}
    expect = Expectation(says="", metric=metric, **SPEED)
    experiment = Experiment(**WORDS, seconds=1, variants=variants, expect=(expect,), seeds=(0, 1))
    values = {name: {seed: {metric: v} for seed in (0, 1)} for name, v in (("a", 2.0), ("b", 1.0))}
    (found,) = judge(experiment, values, devices).findings
    return found


def test_times_of_different_devices_and_losses_of_different_tasks_are_not_judged():
    mixed = {"a": {0: "cpu x 2 threads", 1: "cpu x 2 threads"}, "b": {0: "cpu x 2 threads", 1: "cpu x 8 threads"}}
    same = {name: dict.fromkeys((0, 1), "cpu x 2 threads") for name in "ab"}
    for metric in ("tokens_per_s.median", "step_ms.median", "memory_bytes.peak"):
        found = of_experiment(metric, mixed)
        assert (found.verdict, found.reason) == ("unmeasured", OTHER_DEVICE)
        assert of_experiment(metric, same).verdict == of_experiment(metric).verdict == "holds"
    assert of_experiment("loss.held_out", mixed).verdict == "holds", "a loss belongs to no device"
    for metric in ("loss.held_out", "tokens_per_s.median"):
        assert of_experiment(metric, same, ("text", "copy")).reason == OTHER_TASK
    assert of_experiment("params.total", mixed, ("text", "copy")).verdict == "holds"


def test_no_experiment_that_ships_compares_what_cannot_be_compared():
    for experiment in shipped_experiments():
        assert not any(finding.reason for finding in judge(experiment, {}).findings), experiment.name


def test_slopes_shares_and_falls_are_what_they_say():
    halving = {"a": [8.0, 8.0], "b": [4.0, 4.0], "c": [8 / 3, 8 / 3]}  # over x = 1, 2, 3
    found = judged(halving, statistic="slope", over=("a", "b", "c"), at_least=-1.1, at_most=-0.9)
    assert found.value == pytest.approx(-1) and found.verdict == "holds"
    found = judged({"a": [2.0, 2.0], "b": [1.5, 1.5], "c": [3.0, 3.0]}, statistic="share", of="a", to="b", from_="c",
                   at_least=0.5)
    assert found.value == pytest.approx(2 / 3)
    found = judged(halving, statistic="least_fall", over=("a", "b", "c"), at_least=0.5)
    assert found.value == pytest.approx(4 / 3)
    rising = {"a": [1.0, 1.0], "b": [2.0, 2.0]}
    assert judged(rising, statistic="least_fall", over=("a", "b"), at_least=0.0).verdict == "fails"


def test_a_variant_that_is_measured_once_serves_all_seeds():
    found = judged({"a": [0.9, 0.91, 0.92], "b": [0.5]}, **GAP)
    assert found.seeds == 3 and found.value == pytest.approx(0.41)
