"""Ctrl-C of a run that has filled its disk: over within seconds, `stopped`, everything that was committed is there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers.commandline import TIMEOUT_S, start, write_config
from tests.helpers.services import family, gone, info, steps, until


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1.5 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk, on Linux")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    for process in psutil.Process().children(recursive=True):
        process.kill()
        process.wait()
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_ctrl_c_of_a_run_on_a_full_disk_stops_it_within_seconds(tmp_path: Path, small_disk: Path) -> None:
    store = small_disk / "store"
    process = start("run", write_config(tmp_path, run={"measure_steps": 10**8}), "--store", store, "--json")
    run = until(lambda: next(iter(store.glob("*.tfx")), None), TIMEOUT_S)
    assert process.stderr is not None
    until(lambda: b"no space left" in os.read(process.stderr.fileno(), 2**16), TIMEOUT_S)  # it is said
    seen = len(steps(run))
    processes = family(process.pid)
    assert len(processes) == 3, "command, service, worker"
    process.send_signal(signal.SIGINT)
    assert gone(processes, within_s=5.0)
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130 and '"status":"stopped"' in out
    assert info(run).recorded_status == "stopped" and "no space left" in info(run).reason
    assert steps(run) == list(range(1, seen + 1)) and seen > 100
