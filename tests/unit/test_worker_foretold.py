"""A run's predictions, beside what was measured."""

from __future__ import annotations

from contextlib import closing

import pytest

import tfx_engine.api as tfx
from tests.helpers.tiny import tiny_config
from tfx_engine.runfile.create import create
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.worker.foretold import LEAST_STEPS, Foretold
from tfx_engine.worker.predicting import figures
from tfx_workbench.runs.rundata import RunData

SMALL = {"model": {"width": 32, "layers": 1, "heads": 2, "context": 32}, "data": {"task": "copy"},
         "run": {"batch": 4, "warmup_steps": 1, "measure_steps": 2, "device": "cpu", "threads": 1, "audit": False}}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))  # what these teach, no other test shall learn


def test_a_run_carries_its_prediction_and_the_measured_peak_is_near_it(tmp_path):
    run = RunData(tfx.run(tfx.load_config(SMALL), store=tmp_path))
    run.refresh()
    summary = run.summary()
    predicted, measured = summary["predicted"], summary["memory_bytes"]
    assert predicted["level"] == "instant" and predicted["params"] == summary["params"]
    assert predicted["memory_bytes"]["peak"] == pytest.approx(measured["peak"], rel=0.02)
    assert not any(event.code == "prediction-far-off" for event in run.events)
    run.close()


@pytest.mark.parametrize(("measured_share", "is_said"), [(1.0, False), (1.04, False), (1.2, True), (0.5, True)])
def test_a_prediction_that_is_far_off_is_said(tmp_path, measured_share, is_said):
    config = tfx.load_config(SMALL)
    path = tmp_path / "run.tfx"
    create(path, config, "")
    with RunWriter(path) as writer:
        foretold = Foretold(config, writer)
        foretold.note_instant()
        peak = tfx.estimate(config)["memory_bytes"]["peak"]
        foretold.compare(round(peak * measured_share))
    with closing(RunReader(path)) as reader:
        assert [event.code for event in reader.events()] == ["prediction-far-off"] * is_said
        assert reader.predictions()["memory_bytes.peak"].value == peak


def test_a_peak_within_its_interval_is_not_far_off_and_the_interval_is_kept(tmp_path):
    experts = {"feedforward": {"use": "mixture_of_experts", "experts": 4, "top_k": 1, "width": 2048}}
    run = {"batch": 128, "device": "cpu", "threads": 1}  # nothing is allocated for it
    config, path = tfx.load_config({**SMALL, "run": run, "techniques": experts}), tmp_path / "run.tfx"
    create(path, config, "")
    with RunWriter(path) as writer:
        foretold = Foretold(config, writer)
        foretold.note_traced(LEAST_STEPS)
        interval = figures(config, "traced", with_time=False)["peak_interval_bytes"]
        assert interval["high"] > 1.06 * interval["low"]
        foretold.compare(interval["high"])
    with closing(RunReader(path)) as reader:
        assert not reader.events()
        kept = {end: reader.predictions()[f"peak_interval_bytes.{end}"].value for end in ("low", "high")}
        assert kept == interval


def test_where_memory_is_guessed_no_error_is_stated():
    guessed = figures(tiny_config({"feedforward": "own_module"}))
    assert guessed["error_percent"] is None and "does not say which tensors" in guessed["missing"]["error_percent"]
    assert figures(tiny_config())["error_percent"] > 0
