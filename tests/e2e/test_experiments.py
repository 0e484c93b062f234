"""Experiments as users have them: measured for real, kept, gone on with, and told by the guide."""

from __future__ import annotations

import json
import signal
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.helpers.commandline import TIMEOUT_S, command, start
from tfx_engine.protocol.experiment_files import read_experiment
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.reader import RunReader
from tfx_workbench.cli import main
from tfx_workbench.commands import experiment as experiment_command
from tfx_workbench.commands.measuring import undone
from tfx_workbench.runs.experiments import ResultStore

SMALL = """
format = 1
number = "99"
title = "T"
topic = "adaptation"
claim = "What was learned is begun with."
paper = "P"
tests = "W"
advice = "A"
seconds = 5
seeds = [0]
[base]
model = { width = 16, layers = 1, heads = 2, context = 16 }
run = { batch = 2, warmup_steps = 0, measure_steps = 30, threads = 1, device = "cpu", audit = false, profile = false }
[variants.first]
run = { save_weights = true }
[variants.second]
after = "first"
[variants.longer]
after = "first"
instrument = "held_out_at"
options = { context = 32 }
[[expect]]
metric = "loss.first"
statistic = "difference"
of = "first"
to = "second"
at_least = 0.2
exact = true
says = "{of} {to}"
[[expect]]
metric = "loss.held_out"
of = "longer"
at_most = 6.0
exact = true
says = "{of}"
"""


def test_two_experiments_are_measured_kept_and_not_measured_again(tmp_path):
    done = command("experiment", "1a", "6", "--store", tmp_path, "--json")
    assert done.code == 0, done.err
    (printed,) = done.objects
    order, operations = printed["experiments"]
    assert [order["verdict"], operations["verdict"]] == ["holds", "holds"]
    assert order["expectations"][0]["value"] < 1e-4 < 0.1 < order["expectations"][1]["value"]
    values = [e["value"] for e in operations["expectations"]]
    assert values[0] == 1 and values[1] > 12
    assert "operations in a row for 16 tokens" in operations["expectations"][0]["says"]

    kept = tmp_path / "experiments" / "operations_in_a_row.json"
    results = json.loads(kept.read_text(encoding="utf-8"))
    del results["values"]["lstm_256"]
    kept.write_text(json.dumps(results), encoding="utf-8")
    listed = command("experiment", "6", "--list", "--store", tmp_path)
    assert "not yet measured" in listed.out
    again = command("experiment", "6", "--store", tmp_path, "--json").objects[0]["experiments"][0]
    assert again["verdict"] == "holds" and again["measured"] == again["of"] == 6

    at = kept.stat().st_mtime_ns
    table = command("experiment", "1a", "6", "--store", tmp_path)
    assert table.code == 0 and "HOLDS" in table.out and kept.stat().st_mtime_ns == at

    told = command("guide", "--store", tmp_path)
    assert "Here: holds" in told.out and "not yet measured here" in told.out and told.code == 0


def test_what_is_no_experiment_is_refused(tmp_path):
    done = command("experiment", "positions_tel_order", "--store", tmp_path)
    assert done.code == 2 and "positions_tell_order" in done.err


def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str = SMALL):
    """An experiment of two small runs and an instrument, the only one that there is."""
    file = tmp_path / "small.toml"
    file.write_text(text, encoding="utf-8")
    each = read_experiment(file)
    monkeypatch.setattr(experiment_command, "find_experiments", lambda names: (each,))
    return each


def test_weights_are_handed_on_and_results_and_runs_name_each_other(tmp_path, monkeypatch, capsys):
    each, store = small(tmp_path, monkeypatch), tmp_path / "runs"
    assert main(["experiment", "--store", str(store), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)["experiments"]
    assert found["measured"] == 3 and len(found["runs"]) == 2 == len(set(found["runs"]))
    assert found["expectations"][0]["verdict"] == "holds", "a run that begins with weights begins with a lower loss"
    assert 0 < found["expectations"][1]["value"] < 6 and found["comparison"]
    for run in found["runs"]:
        with closing(RunReader(store / run)) as reader:
            assert reader.info().comparison == found["comparison"]
    results = ResultStore(store).load(each)
    assert undone(each, results, store) == []
    del results.values["second"]
    assert undone(each, results, store) == [("second", 0)]
    next(store.glob("*.safetensors")).unlink()
    assert undone(each, results, store) == [("first", 0), ("second", 0)], "what it starts from is gone"


def test_what_cannot_be_measured_is_said_and_the_command_fails(tmp_path, monkeypatch, capsys):
    small(tmp_path, monkeypatch, SMALL.replace("[base]", '[base]\ndata = { path = "nowhere.txt" }'))
    assert main(["experiment", "--store", str(tmp_path / "runs")]) == 1
    said = capsys.readouterr()
    assert "nowhere.txt" in said.err and "NOT YET MEASURED" in said.out


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT for one process there")
def test_ctrl_c_stops_the_run_and_keeps_what_was_measured(tmp_path):
    process = start("experiment", "12", "--store", tmp_path)
    deadline = time.monotonic() + TIMEOUT_S
    while not any(_steps(run) for run in tmp_path.glob("*.tfx")):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130 and "goes on where it stopped" in said and "Traceback" not in said
    (run,) = tmp_path.glob("*.tfx")
    with closing(RunReader(run)) as reader:
        assert reader.info().status == "stopped"


def _steps(run: Path) -> int:
    try:
        with closing(RunReader(run)) as reader:
            return reader.count_steps()
    except RunFileError:
        return 0
