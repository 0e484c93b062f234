"""A fair comparison with real workers: one of them is killed in a later round, and the others go on."""

from __future__ import annotations

import json
import os
import signal
from contextlib import closing
from pathlib import Path

import pytest

from tests.helpers.commandline import TIMEOUT_S, start, write_config
from tests.helpers.services import family, gone, info, until
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.reader import RunReader


def newest_round(run: Path) -> int:
    try:
        with closing(RunReader(run)) as reader:
            return int(reader.turns()["round"].max(initial=0))
    except RunFileError:
        return 0  # being made


@pytest.mark.skipif(os.name == "nt", reason="a signal of POSIX")
def test_where_a_worker_is_killed_in_a_round_the_others_go_on_and_are_compared(tmp_path: Path) -> None:
    store = tmp_path / "store"
    files = [write_config(tmp_path, name, run={"measure_steps": 4, "profile": False}) for name in ("one", "two", "bad")]
    process = start("run", *files, "--interleave", "--no-control", "--rounds", "3", "--store", store, "--json")
    runs = until(lambda: (found := sorted(store.glob("*.tfx"))) and len(found) == 3 and found)
    bad = next(run for run in runs if "-bad-" in run.name)
    until(lambda: newest_round(bad) >= 2, TIMEOUT_S)
    everyone = family(process.pid)
    pid = info(bad).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1, err
    assert gone(everyone)
    found = {one["name"]: one for one in map(json.loads, out.splitlines())}
    assert {name: one["status"] for name, one in found.items()} == {
        "one": "finished", "two": "finished", "bad": "interrupted"}
    assert "In round" in found["bad"]["reason"] and "killed" in found["bad"]["reason"]
    assert found["bad"]["loss"]["final"] is not None, "its own steps were done by then"
    effects = {name: one["interleaved"]["effects"].get("step_ms", {}) for name, one in found.items()}
    assert "mean of 3 processes" in effects["two"]["method"]
    assert effects["bad"]["percent"] is not None
    first = found["one"]["loss"]
    assert found["two"]["loss"] == first, "turns change nothing of what is trained"
