"""A run, the program made of it, and the bundle that somebody else repeats: with a real engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.commandline import TIMEOUT_S, command, write_config

TECHNIQUES = {"position": {"use": "rotary"}, "adapter": {"use": "lora", "rank": 2}, "embedding": {"dropout": 0.1},
              "recompute": {"use": "every_block"}}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("claim")
    config = write_config(folder, "the claim", techniques=TECHNIQUES, run={"measure_steps": 8})
    done = command("run", config, "--store", folder, "--json")
    assert done.code == 0, done.err
    return Path(done.objects[0]["run"])


def test_the_program_runs_alone_and_has_the_runs_losses_to_the_bit(run: Path, tmp_path: Path) -> None:
    script = tmp_path / "claim.py"
    assert command("export", run, "--format", "script", "-o", script).code == 0
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    argv = [sys.executable, "-I", str(script)]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=TIMEOUT_S)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 9 and all(line.endswith("equal to the run's") for line in lines)  # 1 to warm up, and 8


def test_a_bundle_is_reproduced_here_and_compared(run: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "claim.tfxbundle"
    assert command("export", run, "--format", "bundle", "-o", bundle).code == 0
    done = command("reproduce", bundle, "--store", tmp_path / "store", "--json")
    assert done.code == 0, done.err
    (found,) = done.objects
    (again,) = found["runs"]
    assert again["status"] == "finished" and Path(again["run"]).parent == tmp_path / "store"
    assert again["device"]["class"] == "same" and again["device"]["author"] == again["device"]["here"] != ""
    exact = ("parameters", "trained parameters", "FLOPs per token", "first loss", "last loss", "peak memory")
    assert {name: again["metrics"][name]["percent"] for name in exact} == dict.fromkeys(exact, 0.0)
    assert again["metrics"]["throughput"]["author"] > 0
