"""An ablation through the command: planned, killed in the middle, and finished by the same command without repeats."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.helpers.commandline import command, start, write_config
from tests.helpers.services import until
from tfx_engine.runfile.store import run_files
from tfx_workbench.runs.library import Library

OVER = ("--design", "factorial", "--over", "norm=rms_norm", "--over", "position=rotary", "--instant")


def test_killed_in_the_middle_it_goes_on_where_it_stopped(tmp_path: Path) -> None:
    config, store = write_config(tmp_path, data={"task": "copy"}, run={"measure_steps": 20}), tmp_path / "runs"

    def files(status: str) -> list[Path]:
        return [row.path for row in Library(store).scan() if row.status == status]

    process = start("ablate", config, *OVER, "--store", store)
    until(lambda: files("finished"))
    done = files("finished")
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    until(lambda: not files("running") and not files("queued"), 15.0)
    assert len(files("interrupted")) >= 2, "those that had not begun"

    again = command("ablate", config, *OVER, "--store", store, "--json")
    assert again.code == 0, again.err
    (answer,) = again.objects
    assert [row["status"] for row in answer["runs"]] == ["finished"] * 4 and answer["planned"] == 4
    assert {str(path) for path in done} <= {row["run"] for row in answer["runs"]}, "what was done is not done again"
    assert len(answer["interactions"]["peak_bytes"]) == 1
    both = next(row for row in answer["runs"] if row["name"] == "rotary, RMS norm" or row["name"] == "RMS norm, rotary")
    assert both["effects"]["peak_bytes"]["distinguishable"] is not None
    never_begun = [row for row in Library(store).scan() if row.started_at is None]
    assert not never_begun, "what was queued in vain is cleared away"

    files_now = run_files(store)
    shown = command("ablate", "--resume", answer["ablation"], "--store", store)
    assert shown.code == 0 and "0 to do" in shown.out and run_files(store) == files_now
    wrong = command("ablate", "--resume", "ablation-0", "--store", store)
    assert wrong.code == 2 and answer["ablation"] in wrong.err


def test_a_plan_is_shown_and_nothing_is_run(tmp_path: Path) -> None:
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
    assert command("ablate", "--over", "norm=rms_norm").code == 2
