"""A run as one PyTorch program: the engine writes it, in a process of its own, as it reads the techniques' code."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from tfx_engine.protocol.launch import child_environment, module_argv
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem

PATIENCE_S = 300  # importing torch from a cold disk takes its time
_FAILED = tr_mark("cannot be written as a script: the engine ended without it. {last}")
_HINT = tr_mark("`tfx-workbench doctor` says what works on this machine.")


def script_of(run: Path) -> str:
    """The text of the program. Raises ConfigError: why there is none."""
    argv = [*module_argv("tfx_engine"), "script", str(run), "--json"]
    try:
        done = subprocess.run(argv, capture_output=True, env=child_environment(), timeout=PATIENCE_S,
                              stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError([_failed(run, str(error))]) from None
    answer = _answer(done.stdout)
    if "script" in answer:
        return str(answer["script"])
    if problems := answer.get("problems"):
        raise ConfigError([_said(problem) for problem in problems])
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    raise ConfigError([_failed(run, lines[-1] if lines else "")])


def _said(problem: dict[str, str]) -> Problem:
    """A problem of which only the words are left."""
    args = {"message": problem["message"], "hint": problem["hint"]}
    return Problem(code=problem["code"], path=problem["path"], template="{message}", hint_template="{hint}", args=args)


def _answer(output: bytes) -> dict[str, Any]:
    """The one object that was printed last."""
    lines = output.splitlines()
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _failed(run: Path, last: str) -> Problem:
    return Problem(code="no-script", path=str(run), template=_FAILED, hint_template=_HINT, args={"last": last})
