"""An ablation through the command: planned, run, killed in the middle, and finished without repeats."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import pytest

from tests.helpers.ablation import plan_of, write_ablation
from tests.helpers.commandline import command, start, write_config
from tests.helpers.services import until
from tfx_engine.runfile.store import run_files
from tfx_workbench.runs.library import Library

OVER = ("--design", "factorial", "--over", "norm=rms_norm", "--over", "position=rotary", "--instant")


def test_killed_in_the_middle_it_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFX_WORKER_MODULE", "tests.helpers.standin_worker")
    monkeypatch.setenv("TFX_STANDIN", "one-ends")  # however late the kill comes
    monkeypatch.setenv("TFX_STANDIN_MARK", str(tmp_path / "mark"))
    config, store = write_config(tmp_path, data={"task": "copy"}), tmp_path / "runs"

    def files(status: str) -> list[Path]:
        return [row.path for row in Library(store).scan() if row.status == status]

    process = start("ablate", config, *OVER, "--store", store)
    until(lambda: files("finished"))
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    until(lambda: not files("running") and not files("queued"))
    done = files("finished")
    assert 1 <= len(done) < 4 and len(files("interrupted")) == 4 - len(done)

    monkeypatch.delenv("TFX_STANDIN")
    again = command("ablate", config, *OVER, "--store", store, "--json")
    assert again.code == 0, again.err
    (answer,) = again.objects
    assert [row["status"] for row in answer["runs"]] == ["finished"] * 4 and answer["planned"] == 4
    assert {str(path) for path in done} <= {row["run"] for row in answer["runs"]}, "what was done is not done again"
    assert [row.path for row in Library(store).scan() if row.started_at is None] == [], "queued in vain: cleared away"

    files_now = run_files(store)
    shown = command("ablate", "--resume", answer["ablation"], "--store", store)
    assert shown.code == 0 and "0 to do" in shown.out and run_files(store) == files_now
    wrong = command("ablate", "--resume", "ablation-0", "--store", store)
    assert wrong.code == 2 and answer["ablation"] in wrong.err


def test_real_runs_end_in_a_table_of_effects(tmp_path: Path) -> None:
    config, store = write_config(tmp_path, data={"task": "copy"}, run={"measure_steps": 12}), tmp_path / "runs"
    done = command("ablate", config, "--over", "model.layers=2", "--store", store, "--instant")
    assert done.code == 0, done.err
    assert "2 runs, 2 to do, 0 skipped" in done.out and "the first run will tell" in done.out and "left" in done.err
    row = next(line for line in done.out.splitlines()[-4:] if line.startswith("layers 2"))
    assert "[" in row and "+" in row, "an interval, and more FLOPs"
    paths = run_files(store)
    compared = command("compare", *paths, "--json").objects[0]["runs"][0]["where"]
    assert compared["flops"]["parts"] and compared["params"]["parts"], "by component, as the run's own facts tell"
    for quantity in ("memory", "modules", "time", "params", "flops"):
        found = compared[quantity]
        assert sum(p["change"] for p in found["parts"]) == pytest.approx(found["after"] - found["before"])


def test_a_run_that_failed_has_its_row_and_the_others_theirs(tmp_path: Path) -> None:
    plan, store = plan_of("norm=rms_norm", "position=rotary"), tmp_path / "runs"
    plan = dataclasses.replace(plan, id="ablation-of-another-version")  # whose defaults were others
    write_ablation(store, plan, ["finished", "finished", "failed", "finished"])
    done = command("ablate", "--resume", plan.id, "--store", store)
    assert done.code == 1 and "4 runs, 0 to do" in done.out
    rows = [line for line in done.out.splitlines() if line.startswith(("base", "RMS norm", "rotary"))]
    assert any("failed. Out of memory" in row for row in rows) and sum("[" in row for row in rows) == 3
    (failed,) = (row for row in rows if row.startswith("RMS norm  "))
    assert "–" in failed, "the loss of a run that did not train to its end is not compared"
    (answer,) = command("ablate", "--resume", plan.id, "--store", store, "--json").objects
    assert [row["status"] for row in answer["runs"]].count("failed") == 1


def test_a_plan_is_shown_and_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFX_WORKER_MODULE", "tests.helpers.standin_worker")
    config, store = write_config(tmp_path, data={"task": "copy"}), tmp_path / "runs"
    done = command("ablate", config, "--over", "kernel=flash,math", "--over", "softcap=tanh", "--design", "factorial",
                   "--store", store, "--dry-run", "--json", "--instant")
    assert done.code == 0, done.err
    (answer,) = done.objects
    assert answer["runs"] == answer["to_run"] == 4 and len(answer["skipped"]) == 2 and not store.exists()
    assert all(cell["predicted"]["peak_bytes"] > 0 for cell in answer["cells"])
    assert answer["predicted_minutes"] is None and "first run" in answer["missing"]["predicted_minutes"]
    for arguments, said in ((("--over", "norm=rms"), "rms_norm"), ((), "--over position=rotary"),
                            (("--over", "norm=layer_norm"), "compare it with")):
        wrong = command("ablate", config, *arguments, "--store", store)
        assert wrong.code == 2 and said in wrong.err, wrong.err


def test_in_turns_the_effects_are_fair_and_a_whole_comparison_is_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFX_WORKER_MODULE", "tests.helpers.standin_worker")
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    config, store = write_config(tmp_path, data={"task": "copy"}), tmp_path / "runs"
    words = ("ablate", config, "--over", "norm=rms_norm", "--store", store, "--instant", "--interleave",
             "--rounds", "3")
    done = command(*words, "--json")
    assert done.code == 0, done.err
    (answer,) = done.objects
    assert answer["ablation"].endswith("-turns-1") and [row["status"] for row in answer["runs"]] == ["finished"] * 2
    effect = answer["runs"][1]["effects"]["tokens_per_s"]
    assert "interleaved" in effect["method"] and effect["noise_band"] is not None and effect["low"] is not None
    files = run_files(store)
    assert len(files) == 3, "the second copy of the baseline is a run too"
    assert command(*words).code == 0 and run_files(store) == files
    wrong = command(*words, "--seeds", "2")
    assert wrong.code == 2 and "new processes" in wrong.err
    assert command("ablate", config, "--over", "norm=rms_norm", "--rounds", "3", "--store", store).code == 2
