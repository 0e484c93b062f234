"""The program of a run file: when there is none, and that nothing in a file can write code into it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.helpers.synthetic_run import make_config, write_run
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.runfile.create import create
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.script.of_run import script_of_run

SMALL = {"layers": 1, "heads": 2, "context": 16, "width": 16, "steps": 5}
HOSTILE = '"""\nimport os; os.system("x")\\ «0» {x} \u202e=1+1 ../../🦙'


def test_a_run_that_has_not_ended_has_no_program(tmp_path: Path) -> None:
    queued = write_run(tmp_path / "queued.tfx", status="queued", **SMALL)
    with pytest.raises(ConfigError, match="has not ended: its status is queued") as refused:
        script_of_run(queued)
    assert refused.value.problems[0].hint == "Wait for its end, or stop it."


def test_a_run_that_failed_before_its_first_step_has_none_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "failed.tfx"
    create(path, make_config("failed", **SMALL), "")
    with RunWriter(path) as writer:
        writer.state("running")
        writer.state("failed", "Out of memory.")
    with pytest.raises(ConfigError, match=r"no step with a loss to compare with: Out of memory"):
        script_of_run(path)


def test_no_name_becomes_code(tmp_path: Path) -> None:
    strange = 'cpu"\\n\' «1»\nimport os'
    run = write_run(tmp_path / "run.tfx", name=HOSTILE, run={"device": strange}, **SMALL)
    tree = ast.parse(script_of_run(run))
    assert isinstance(tree.body[0], ast.Expr) and "import os" in (ast.get_docstring(tree) or "")
    assert not any(isinstance(node, ast.Call) and "system" in ast.unparse(node.func) for node in ast.walk(tree))
    devices = [node.value.value for node in ast.walk(tree) if isinstance(node, ast.AnnAssign)
             and ast.unparse(node.target) == "device" and isinstance(node.value, ast.Constant)]  # fmt: skip
    assert devices == [strange]
