"""Exported programs on a CUDA device: the techniques that only it can do, and a run of the CPU repeated there."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers.scripts import STEPS, recorded, run_scripts
from tests.helpers.tiny import tiny_config
from tfx_engine.model.validate import validate
from tfx_engine.protocol.problems import errors_among
from tfx_engine.script.make import make_script

# Sizes that 8-bit products take.
SIZES = {"width": 64, "heads": 4, "head_width": 16, "context": 16, "vocab": 64}
ONLY_HERE = [("precision", "tf32"), ("precision", "float8"), ("offload", "activations"), ("kernel", "cudnn")]


@pytest.mark.parametrize(("slot", "name"), ONLY_HERE, ids=lambda x: str(x))
def test_a_technique_of_this_device_repeats_the_first_loss(slot: str, name: str, tmp_path: Path) -> None:
    config = tiny_config({slot: name}, model=SIZES, run={"device": "cuda", "batch": 4})
    if problems := errors_among(validate(config)):
        pytest.skip(problems[0].sentence())
    (tmp_path / "script.py").write_text(make_script(config, recorded(config, device="cuda")), encoding="utf-8")
    found = run_scripts(tmp_path)["script"]
    assert not found["error"] and len(found["losses"]) == STEPS


def test_a_run_of_the_cpu_is_repeated_here_nearly(tmp_path: Path) -> None:
    config = tiny_config({"position": "rotary"}, model=SIZES)
    (tmp_path / "script.py").write_text(make_script(config, recorded(config)), encoding="utf-8")
    found = run_scripts(tmp_path, "--device", "cuda")["script"]
    assert not found["error"] and torch.cuda.is_available()
