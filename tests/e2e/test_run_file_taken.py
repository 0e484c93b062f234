"""The files of a run are removed while it is trained: command and window go on, and the file is there, whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers.commandline import TIMEOUT_S, start, write_config
from tests.helpers.services import has_steps, info, steps, until
from tests.survival.stops import ENDLESS, Running
from tests.survival.windows import RemoteWindow
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.store import side_files

STEPS = 400


@pytest.mark.skipif(os.name == "nt", reason="Windows lets nobody remove a file that is open")
def test_a_run_whose_files_are_removed_while_it_is_trained_loses_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store"
    process = start("run", write_config(tmp_path, run={"measure_steps": STEPS}), "--store", store)
    run = until(lambda: next(iter(store.glob("*.tfx")), None), TIMEOUT_S)
    until(lambda: has_steps(run, 20), TIMEOUT_S)
    for file in (run, *side_files(run)):
        file.unlink(missing_ok=True)
    out, error = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, out + error
    assert info(run).recorded_status == "finished"
    kept = steps(run)
    assert len(kept) > STEPS and kept == list(range(1, len(kept) + 1))
    with RunReader(run) as reader:
        assert [event.code for event in reader.events() if event.kind == "warning"].count("put-back") == 1
    assert not [file for file in side_files(run) if file.exists()]
    assert "put back" in out + error


@pytest.mark.skipif(os.name == "nt", reason="Windows lets nobody remove a file that is open")
def test_a_window_shows_a_run_further_whose_files_are_removed(tmp_path: Path) -> None:
    with RemoteWindow(tmp_path / "home") as window:
        running = Running(window, {**ENDLESS, "name": "taken"})
        before = window.ask("shown_steps")
        for file in (running.path, *side_files(running.path)):
            file.unlink(missing_ok=True)
        until(running.path.exists, TIMEOUT_S)
        state = window.until(lambda s: s["shown_steps"] > before + 50)
        assert state["runs"][running.name]["status"] == "running"
        assert not [words for words in state["said"] if "no such file" in str(words)]
        assert running.steps() > before + 50 and running.events("put-back")
