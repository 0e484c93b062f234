"""The ledger of predictions."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.helpers.exhibits import views
from tests.helpers.synthetic_run import write_run
from tfx_engine.protocol.ledger import PastPeak, add_peak
from tfx_engine.runfile.writer import RunWriter
from tfx_workbench.commands.runs import _predictions
from tfx_workbench.exhibits.exhibit import Bars, Line
from tfx_workbench.exhibits.kind import exhibit_type
from tfx_workbench.runs.run_metrics import read_metric
from tfx_workbench.runs.rundata import RunData


def test_the_error_of_each_run_is_a_bar_and_that_of_one_a_table(tmp_path):
    paths = [write_run(tmp_path / f"{name}.tfx", name=name, steps=30, seed=seed)
             for seed, name in enumerate(["one", "two"])]
    exhibit = exhibit_type("ledger").make(views(paths), {})
    (bars,) = [layer for layer in exhibit.plots[0].layers if isinstance(layer, Bars)]
    assert bars.ends == pytest.approx([4.0, 4.0], abs=0.01) and bars.texts == ("+4.0 %", "+4.0 %")
    assert "median error 4.0 % over 2 runs" in str(exhibit.sentence)
    first = exhibit.tables[0].rows[0]
    assert str(first[0]) == "peak memory" and first[3] == "+4.0 %"
    assert str(exhibit.tables[0].rows[-1][0]) == "step"


def test_what_an_interval_encloses_is_no_error_wherever_errors_are_told(tmp_path):
    path = write_run(tmp_path / "experts.tfx", steps=30)
    with closing(RunData(path)) as run:
        measured = run.load().summary()["memory_bytes"]["peak"]
    with RunWriter(path) as writer:
        writer.prediction("peak_interval_bytes.low", 0.9 * measured, "traced")
        writer.prediction("peak_interval_bytes.high", 1.1 * measured, "traced")
    exhibit = exhibit_type("ledger").make(views([path]), {})
    (bars,) = [layer for layer in exhibit.plots[0].layers if isinstance(layer, Bars)]
    assert bars.texts == ("0.0 %",)
    assert exhibit.tables[0].rows[0][3] == "0.0 %" and " - " in str(exhibit.tables[0].rows[0][1])
    with closing(RunData(path)) as run:
        assert read_metric(run.load(), "predicted.error_percent") == 0.0
        assert "(+0.0 % off)" in dict(_predictions(run.summary()))["predicted peak"]


def test_all_my_runs_are_a_histogram_in_which_a_repeated_configuration_counts_once(tmp_path, monkeypatch):
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    for i in range(30):
        _keep(100_000_000 + i * 1_000_000, 0.5)
    for _ in range(5):
        _keep(70_000_000, -20.0)
    for i in range(6):
        _keep(90_000_000 + i * 1_000_000, 12.0, compiled=True)
    exhibit = exhibit_type("ledger").make(views([write_run(tmp_path / "one.tfx", steps=30)]), {"of": "all"})
    eager, compiled = exhibit.plots
    assert _counts(eager) == {"0.3 to 1 %": 30, "10 to 30 %": 1} and _counts(compiled) == {"10 to 30 %": 6}
    assert "compiled" in str(compiled.x.title) and "compiled" not in str(eager.x.title)
    lines = {layer.key: layer for layer in eager.layers if isinstance(layer, Line)}
    assert str(lines["median"].label) == "median 0.50 %" and str(lines["within"].label) == "95 of 100 within 0.50 %"
    names = [str(name) for _, name in eager.y.ticks]
    assert names[round(lines["median"].value)] == "0.3 to 1 %", "in the row that it belongs to"


def test_an_empty_ledger_says_so_in_the_place_of_the_histogram(tmp_path, monkeypatch):
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    exhibit = exhibit_type("ledger").make(views([write_run(tmp_path / "one.tfx", steps=30)]), {"of": "all"})
    assert "empty" in str(exhibit.plots[0].missing) and exhibit.tables


def _keep(measured_bytes, error_percent, compiled=False):
    add_peak(PastPeak(kind="cpu", level="traced", compiled=compiled, measured_bytes=measured_bytes,
                      predicted_bytes=round(measured_bytes * (1 + error_percent / 100))))


def _counts(plot):
    (bars,) = [layer for layer in plot.layers if isinstance(layer, Bars)]
    return {str(label): int(end) for label, end in zip(bars.labels, bars.ends, strict=True) if end}
