"""Exported scripts in tests: made of a training that was just done, run where this project cannot be imported."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from tfx_engine.model.assemble import assemble
from tfx_engine.protocol.config import Config
from tfx_engine.script.make import Recorded, make_script
from tfx_engine.techniques.adapter import count_numbers
from tfx_engine.train.setup import set_up
from tfx_engine.train.step import train_step

STEPS = 3
_RUNNER = """
import contextlib, io, json, pathlib, runpy, sys, torch, traceback

class NotHere:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("tfx_engine", "tfx_workbench"):
            raise ImportError(f"a script must not need {name}")

sys.meta_path.insert(0, NotHere())
torch.set_num_threads(1)
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.py")):
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said):
            losses, error = runpy.run_path(str(path))["main"](sys.argv[2:]), ""
    except BaseException:
        losses, error = [], traceback.format_exc()
    print(json.dumps({"name": path.stem, "losses": losses, "said": said.getvalue(), "error": error}), flush=True)
"""


def recorded(config: Config, steps: int = STEPS, device: str = "cpu") -> Recorded:
    """What a run of a few steps would have recorded."""
    setup = set_up(config, torch.device(device))
    model = setup.training.model
    total, trainable = count_numbers(model), count_numbers(model, trained_only=True)
    losses = [train_step(setup.training, setup.task.batch(i, device), i).item() for i in range(steps)]
    made_with = {
        "torch": torch.__version__, "cpu": torch.backends.cpu.get_cpu_capability(), "machine": platform.machine(),
        "threads": torch.get_num_threads(), "device": device,
    }
    return Recorded(name=config.name, steps=steps, parameters=total, trainable=trainable, losses=losses,
                    data_sha256=setup.task.facts()["sha256"], made_with=made_with)


def with_weights(folder: Path) -> tuple[Config, Recorded]:
    """A configuration that begins with weights of a file, and what it recorded."""
    from tests.helpers.tiny import tiny_config
    from tfx_engine.model import weights

    other = tiny_config(seed=7)
    weights.save(assemble(other, "cpu"), folder / "begin.safetensors", other)
    config = tiny_config(run={"start_from": str(folder / "begin.safetensors")})
    digest = hashlib.sha256((folder / "begin.safetensors").read_bytes()).hexdigest()
    return config, dataclasses.replace(recorded(config), weights_sha256=digest)


def write_scripts(folder: Path, configs: Mapping[str, Config]) -> None:
    """One script for each configuration."""
    for name, config in configs.items():
        (folder / f"{name}.py").write_text(make_script(config, recorded(config)), encoding="utf-8")


def run_scripts(folder: Path, *arguments: str) -> dict[str, dict[str, Any]]:
    """Run all scripts of a folder in one process, in which this project cannot be imported; what each said, by name."""
    argv = [sys.executable, "-P", "-c", _RUNNER, str(folder), *arguments]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=280, cwd=folder)
    assert done.returncode == 0, done.stderr
    return {found["name"]: found for found in map(json.loads, done.stdout.splitlines())}
