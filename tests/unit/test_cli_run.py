"""`run` of the command line with stand-in workers: interrupted at moments that are hard to hit from outside."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.helpers.commandline import TIMEOUT_S, argv, write_config
from tests.helpers.services import info
from tfx_workbench.cli import main
from tfx_workbench.commands import run as module


@pytest.mark.parametrize("moment", ["before", "after"])
def test_ctrl_c_while_runs_are_being_queued_stops_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], moment: str
) -> None:
    submit = module._submit

    def interrupted(*arguments):
        if moment == "after":  # the service has answered, and nobody has read it yet
            submit(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setenv("TFX_WORKER_MODULE", "tests.helpers.standin_worker")
    monkeypatch.setattr(module, "_submit", interrupted)
    config = write_config(tmp_path, "endless")
    assert main(["run", str(config), "--store", str(tmp_path / "store")]) == 130
    statuses = [info(run).recorded_status for run in (tmp_path / "store").glob("*.tfx")]
    assert statuses == (["stopped"] if moment == "after" else [])
    assert "Stopping" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="a shell of POSIX closes the streams")
def test_a_run_does_without_any_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TFX_WORKER_MODULE", "tests.helpers.standin_worker")
    command = [*argv("run", write_config(tmp_path, "quick"), "--store", tmp_path / "store")]
    assert subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *command], timeout=TIMEOUT_S).returncode == 0
    (run,) = (tmp_path / "store").glob("*.tfx")
    assert info(run).recorded_status == "finished"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_service_that_is_killed_before_the_runs_are_queued_is_no_wrong_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], as_json: bool
) -> None:
    submit = module._submit

    def killed(client, *arguments):
        psutil.Process(client.pid).kill()
        return submit(client, *arguments)

    monkeypatch.setenv("TFX_WORKER_MODULE", "tests.helpers.standin_worker")
    monkeypatch.setattr(module, "_submit", killed)
    words = ["run", str(write_config(tmp_path, "endless")), "--store", str(tmp_path / "store")]
    assert main([*words, *(["--json"] if as_json else [])]) == 1
    said = capsys.readouterr()
    assert "engine" in (said.out if as_json else said.err)
    assert main(["run", str(tmp_path / "nothing.toml")]) == 2, "that request is wrong"
