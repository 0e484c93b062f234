"""The file of a run is removed while it is trained: the command goes on to its end, and the file is there, whole."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.helpers.commandline import TIMEOUT_S, start, write_config
from tests.helpers.services import has_steps, info, steps, until
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
