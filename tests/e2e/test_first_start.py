"""A first start on a home that is mounted for reading: what works is said, and goes on.

All machines, with real training: `python -m tests.packaging.first_start`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import situations
from tests.helpers.commandline import TIMEOUT_S, write_config

pytestmark = pytest.mark.skipif(bool(situations.why_not()), reason=situations.why_not())


def call(prefix: list[str], home: Path, repo: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "TFX_"))}
    environment = {**kept, "HOME": str(home), "PYTHONPATH": str(repo), "PYTHONDONTWRITEBYTECODE": "1",
                   "TFX_WORKER_MODULE": "tests.helpers.standin_worker"}
    command = [*prefix, sys.executable, "-m", "tfx_workbench", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=TIMEOUT_S)
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done


def test_on_a_home_that_is_mounted_for_reading(tmp_path: Path, repo: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    machine = situations.read_only(home)
    checks = {c["name"]: c for c in json.loads(call(machine, home, repo, "doctor", "--json").stdout)["checks"]}
    assert checks["store"]["ok"] is False and "Read-only file system" in checks["store"]["detail"]
    assert checks["engine"]["ok"] and checks["torch"]["ok"]
    refused = call(machine, home, repo, "run", write_config(tmp_path, "quick"))
    assert refused.returncode == 2 and "--store" in refused.stderr and "TFX_HOME" in refused.stderr
    window = call(machine, home, repo, "--headless", "--screenshot", tmp_path / "window.png")
    assert window.returncode == 0 and (tmp_path / "window.png").is_file()
    assert list(home.iterdir()) == []
