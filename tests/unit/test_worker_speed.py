"""MFU: what it is a share of, and what a run says that came out above it."""

from __future__ import annotations

import statistics
from contextlib import closing

import msgspec
import pytest
import torch

from tests.helpers.ceilings import PEAK, made_up, this_cpu
from tests.helpers.worker import queue_run, read
from tfx_engine.measure.ceilings import circumstances
from tfx_engine.measure.device import NoGpu
from tfx_engine.measure.disturbance import Disturbance
from tfx_engine.measure.others import DISTURBED
from tfx_engine.protocol.ceilings import add_past, load_past, save_ceilings
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.ledger import OwnError
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.worker import speed
from tfx_engine.worker.run import execute
from tfx_workbench.commands import words
from tfx_workbench.runs.rundata import RunData

RUN = {"warmup_steps": 1, "measure_steps": 4}


def run_of(store, **sections):
    path = queue_run(store, run={**RUN, **sections.pop("run", {})}, **sections)
    assert execute(path).status == "finished"
    return path


def summary_of(path):
    with closing(RunData(path)) as run:
        return run.load().complete_summary()


@pytest.fixture
def unmeasured(tmp_path, monkeypatch):
    """A home in which nothing was measured, and a device that measures as `peaks` say; how often it was."""
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    peaks = []

    def measure(device, name, is_over, **_):
        return made_up(circumstances(device, name), peaks.pop(0))

    monkeypatch.setattr(speed, "measure_ceilings", measure)
    return peaks


def test_mfu_is_model_flops_over_step_time_and_measured_peak(tmp_path):
    path = run_of(tmp_path)
    facts, steps = read(path, "facts"), read(path, "steps")
    median = statistics.median(ms for ms, phase in zip(steps["step_ms"], steps["phase"], strict=True)
                               if phase == "measure")
    done = facts["flops_per_token"]["model"] * facts["tokens_per_step"] * 1000 / median
    assert facts["mfu"] == pytest.approx(done / PEAK)
    assert facts["peak_flops_per_s"]["measured"] == PEAK
    summary = summary_of(path)
    assert summary["mfu"] == facts["mfu"]
    assert summary["flops_per_s"]["model"] == pytest.approx(done)
    assert summary["flops_per_s"]["format"] == "float32"
    assert "no published figure" in summary["missing"]["flops_per_s.vendor_peak"]
    shown = words.utilisation(summary["mfu"], summary["flops_per_s"])
    assert "1,000 TFLOP/s that products in float32 reach here" in shown or "1.00 PFLOP/s" in shown


def test_the_denominator_is_that_of_the_format_of_the_products(tmp_path):
    facts = read(run_of(tmp_path, techniques={"precision": "bfloat16_autocast"}), "facts")
    assert facts["peak_flops_per_s"]["format"] == "bfloat16"
    assert facts["peak_flops_per_s"]["measured"] == 2 * PEAK


def test_a_format_without_a_peak_has_no_mfu_and_the_reason(tmp_path):
    summary = summary_of(run_of(tmp_path, techniques={"precision": "float16_autocast"}))
    assert summary["mfu"] is None
    assert "float16" in summary["missing"]["mfu"]


def test_the_first_run_measures_the_device_after_its_steps_and_the_second_knows_it(tmp_path, unmeasured):
    unmeasured += [1e14]
    first = run_of(tmp_path)
    assert read(first, "facts")["peak_flops_per_s"]["measured"] == 1e14
    assert read(run_of(tmp_path), "facts")["peak_flops_per_s"]["measured"] == 1e14
    assert unmeasured == []


def test_without_probes_nothing_is_measured(tmp_path, unmeasured):
    path = run_of(tmp_path, run={"probes": False})
    assert read(path, "facts").get("mfu") is None
    assert read(path, "missing")["mfu"]


def test_more_than_the_peak_is_measured_again_and_if_it_stays_said_and_never_clamped(tmp_path, unmeasured):
    unmeasured += [1.0, 2.0]
    path = run_of(tmp_path)
    assert unmeasured == []
    summary = summary_of(path)
    assert summary["mfu"] is None
    assert "that measurement is wrong" in summary["missing"]["mfu"]
    assert summary["flops_per_s"]["model"] > summary["flops_per_s"]["peak"] == 2.0
    assert "mfu-above-one" in [event.code for event in read(path, "events")]
    unmeasured += [1e14]
    assert 0 < read(run_of(tmp_path), "facts")["mfu"] < 1


def test_where_the_figures_cannot_be_kept_the_run_says_so_and_ends_well(tmp_path, unmeasured, monkeypatch):
    def refuse(*_):
        raise PermissionError("no")

    unmeasured += [1e14]
    monkeypatch.setattr(speed, "save_ceilings", refuse)
    assert "could not be measured" in read(run_of(tmp_path), "missing")["mfu"]


def test_the_prediction_of_a_run_stands_beside_what_was_measured_and_the_next_learns_from_it(tmp_path, monkeypatch):
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Disturbance, "mark", lambda *_: None)  # whatever else this machine does
    save_ceilings(made_up(this_cpu(1)))
    long = {"measure_steps": speed.LEAST_STEPS + 5}  # those that are probed do not count
    first = summary_of(run_of(tmp_path, run=long))
    assert first["predicted"]["step_ms"] > 0
    (learnt,) = load_past(this_cpu(1))
    assert learnt.measured_ms == pytest.approx(first["step_ms"]["median"])
    for _ in range(5):  # as if it had taken a thousand times as long, again and again
        add_past(msgspec.structs.replace(learnt, measured_ms=1000 * learnt.measured_ms))
    second = summary_of(run_of(tmp_path, run=long))
    assert second["predicted"]["step_ms"] > 1.1 * first["predicted"]["step_ms"]  # learning is bounded
    assert "step_ms" not in summary_of(run_of(tmp_path))["predicted"]  # so few steps say nothing


@pytest.mark.parametrize(("percent", "stated", "disturbed", "said"), [
    (9.0, None, False, None), (50.0, None, False, "Too few runs"), (-40.0, None, True, "were disturbed"),
    (40.0, 50.0, False, None), (-40.0, 50.0, True, None), (60.0, 50.0, False, "50.0 % was stated"),
])
def test_the_time_of_a_step_that_is_far_off_is_said_with_the_reason(
    tmp_path, monkeypatch, percent, stated, disturbed, said
):
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(speed, "load_ceilings", lambda _: made_up(this_cpu(1)))
    monkeypatch.setattr(speed, "step_ms_of", lambda *_: (10.0, stated and OwnError(5.0, stated, 9)))
    path = queue_run(tmp_path, run={"measure_steps": speed.LEAST_STEPS})
    with closing(RunData(path)) as run:
        config, _ = parse_config(run.load().info.config)
    steps = [10.0 / (1 + percent / 100)] * speed.LEAST_STEPS
    with RunWriter(path) as writer:
        told = speed.Speed(config, torch.device("cpu"), NoGpu("cpu"), writer)
        told.note_predicted(config, steps[:3] if disturbed else steps, steps)
    events = [event for event in read(path, "events") if event.code == "prediction-far-off"]
    assert [said in event.message for event in events] == [True] * (said is not None)
    assert read(path, "predictions")["step_ms"].value == 10.0
    assert len(load_past(this_cpu(1))) == (not disturbed)


def test_a_run_that_was_disturbed_has_its_prediction_and_teaches_nothing(tmp_path, monkeypatch):
    def disturb(_, readings):
        for reading in readings:
            reading.taint = reading.taint or DISTURBED

    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(Disturbance, "mark", disturb)
    save_ceilings(made_up(this_cpu(1)))
    summary = summary_of(run_of(tmp_path, run={"measure_steps": speed.LEAST_STEPS}))
    assert summary["predicted"]["step_ms"] > 0
    assert load_past(this_cpu(1)) == []
