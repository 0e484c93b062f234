"""What is said of somebody else's run beside our own: what must be equal, what may differ, what cannot be compared."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tests.helpers.synthetic_run import write_run
from tfx_workbench.analysis.reproduction import (
    OTHER_CPU,
    OTHER_GPU,
    OTHER_KIND,
    SAME,
    SAME_DEVICE,
    Metric,
    Reproduction,
    _judge,
    compare_with_author,
    device_class,
    verdict,
)
from tfx_workbench.runs.rundata import RunData

SMALL = {"layers": 2, "heads": 2, "context": 16, "width": 16, "steps": 20}
CPU = {"device": {"kind": "cpu", "name": "A"}, "torch": "2.9", "threads": 2, "cpu_capability": "AVX2"}
GPU = {"device": {"kind": "cuda", "name": "H100"}, "torch": "2.9", "driver": "1"}


def compare(one: Path, other: Path) -> Reproduction:
    with closing(RunData(one).load()) as author, closing(RunData(other).load()) as here:
        return compare_with_author(author, here)


def test_a_run_beside_itself_is_equal_in_all_that_is_known(tmp_path):
    run = write_run(tmp_path / "run.tfx", **SMALL)
    found = compare(run, run)
    assert found.device_class == SAME and found.agrees
    assert all(metric.percent == 0 for metric in found.metrics if metric.percent is not None)
    equal = {metric.name for metric in found.metrics if metric.percent == 0}
    assert equal >= {"parameters", "first loss", "throughput", "peak memory"}


@pytest.mark.parametrize(("what", "words"), [
    ({"threads": 64}, "64 threads"), ({"device": {"kind": "cpu", "name": "Another"}}, "other CPU"),
])
def test_of_another_device_neither_time_nor_memory_is_concluded_by_the_rule_for_all_runs(tmp_path, what, words):
    run = write_run(tmp_path / "run.tfx", **SMALL)
    with closing(RunData(run).load()) as author, closing(RunData(run).load()) as here:
        here.facts.update(what)
        found = {metric.name: metric for metric in compare_with_author(author, here).metrics}
    for name in ("throughput", "step time", "peak memory"):
        assert found[name].agrees is None and words in found[name].reason
    assert found["parameters"].agrees and found["first loss"].agrees


def test_of_other_data_neither_loss_nor_time_is_concluded(tmp_path):
    run = write_run(tmp_path / "run.tfx", **SMALL)
    with closing(RunData(run).load()) as author, closing(RunData(run).load()) as here:
        here.facts["corpus"] = {"sha256": "another"}
        author.facts["corpus"] = {"sha256": "the author's"}
        found = {metric.name: metric for metric in compare_with_author(author, here).metrics}
    for name in ("first loss", "throughput", "step time"):
        assert found[name].agrees is None and "data" in found[name].reason
    assert found["peak memory"].agrees


def test_another_model_has_other_parameters_and_does_not_agree(tmp_path):
    one = write_run(tmp_path / "one.tfx", **SMALL)
    other = write_run(tmp_path / "other.tfx", **{**SMALL, "layers": 3})
    found = {metric.name: metric for metric in compare(one, other).metrics}
    assert found["parameters"].agrees is False and found["parameters"].percent > 0
    assert "off the author's" in verdict(found["parameters"])
    assert not compare(one, other).agrees


@pytest.mark.parametrize(("author", "here", "wanted"), [
    (CPU, CPU, SAME), (CPU, {**CPU, "threads": 4}, SAME_DEVICE), (CPU, {**CPU, "torch": "2.8"}, SAME_DEVICE),
    (CPU, {**CPU, "device": {"kind": "cpu", "name": "B"}}, OTHER_CPU), (CPU, GPU, OTHER_KIND), (GPU, GPU, SAME),
    (GPU, {**GPU, "device": {"kind": "cuda", "name": "T4"}}, OTHER_GPU), (GPU, {**GPU, "driver": "2"}, SAME_DEVICE),
    ({}, GPU, OTHER_KIND),
])  # fmt: skip
def test_devices_are_told_apart(author, here, wanted):
    assert device_class(author, here) == wanted


@pytest.mark.parametrize(("matter", "percent", "kind", "same_data", "coarse", "wanted"), [
    ("count", 0.0, OTHER_KIND, True, False, True), ("count", 0.001, SAME, True, False, False),
    ("first", 0.005, OTHER_GPU, True, False, True), ("first", 0.5, SAME, True, False, False),
    ("first", 0.5, SAME, True, True, True), ("first", 0.0, SAME, False, False, None),
    ("loss", 0.9, OTHER_KIND, True, False, True), ("loss", -1.5, SAME, True, False, False),
    ("speed", 9.0, SAME, True, False, True), ("speed", -11.0, SAME_DEVICE, True, False, False),
    ("speed", 1.0, OTHER_GPU, True, False, None), ("memory", 0.5, OTHER_CPU, True, False, None),
    ("speed", 1.0, SAME, False, False, None), ("memory", 0.5, SAME_DEVICE, True, False, True),
    ("memory", 0.5, OTHER_GPU, True, False, None), ("speed", None, SAME, True, False, None),
])  # fmt: skip
def test_what_can_be_concluded(matter, percent, kind, same_data, coarse, wanted):
    agrees, reason = _judge(matter, percent, kind, same_data, coarse)
    assert agrees is wanted and bool(reason) == (wanted is None)


def test_verdicts_say_how_far_apart():
    assert verdict(Metric("x", "", 1.0, 1.0, 0.0, True)) == "equal"
    assert verdict(Metric("x", "", 1.0, 1.013, 1.3, True)) == "within 1.3 % of the author's"
    assert verdict(Metric("x", "", 1.0, 2.0, 100.0, False)) == "100.0 % off the author's"
    assert "other GPU" in verdict(Metric("x", "", 1.0, 2.0, 100.0, None, "it belongs to the device: other GPU class"))
    assert verdict(Metric("x", "", None, 2.0, None, None, "no figure")) == "no figure"
