"""The engine may run in a Python that the user chose: how it is asked, kept and started, frozen and not."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from tfx_engine.client.own_python import examine
from tfx_engine.protocol import engine_python, launch
from tfx_engine.protocol.problems import ConfigError
from tfx_workbench.cli import main


@pytest.fixture(autouse=True)
def nothing_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(engine_python.VARIABLE, raising=False)
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))


@pytest.fixture
def frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    monkeypatch.setattr(sys, "executable", "/usr/lib/tfx-workbench/tfx-workbench")


def script(folder: Path, text: str) -> str:
    """Something that can be run and is no Python."""
    file = folder / "python"
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)
    return str(file)


def test_without_a_choice_the_engine_runs_in_this_python() -> None:
    assert launch.module_argv("tfx_engine", "serve")[0] == sys.executable


def test_a_chosen_python_starts_the_engine_and_nothing_else() -> None:
    engine_python.keep_choice("/opt/gpu/bin/python")
    assert launch.module_argv("tfx_engine", "serve") == ["/opt/gpu/bin/python", "-m", "tfx_engine", "serve"]
    assert launch.module_argv("tfx_workbench", "report")[0] == sys.executable
    assert launch.module_argv("tfx_engine.worker")[0] == sys.executable  # by the engine, which runs in it already
    engine_python.keep_choice(None)
    assert engine_python.chosen_python() is None


def test_the_variable_comes_before_the_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    engine_python.keep_choice("/opt/gpu/bin/python")
    monkeypatch.setenv(engine_python.VARIABLE, "/other")
    assert engine_python.chosen_python() == "/other"


@pytest.mark.parametrize("content", ["", "[]", '{"python": 3}', '{"python": ""}', "\xff"])
def test_a_choice_that_cannot_be_read_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "engine.json").write_text(content, encoding="latin-1")
    assert engine_python.chosen_python() is None


@pytest.mark.usefixtures("frozen")
def test_the_frozen_program_has_an_executable_for_each_part() -> None:
    assert launch.module_argv("tfx_engine", "serve")[0] == "/usr/lib/tfx-workbench/tfx-engine"
    assert launch.module_argv("tfx_engine.worker")[0] == "/usr/lib/tfx-workbench/tfx-engine"
    assert launch.module_argv("tfx_workbench", "report")[0] == "/usr/lib/tfx-workbench/tfx-workbench"


@pytest.mark.usefixtures("frozen")
def test_a_chosen_python_finds_the_frozen_programs_engine_and_nothing_else_of_it() -> None:
    given = {"PYTHONPATH": "x", "PYTHONHOME": "x", "QT_PLUGIN_PATH": "x", "_PYI_ARCHIVE_FILE": "x",
             "LD_LIBRARY_PATH": "/usr/lib/tfx-workbench/_internal"}  # fmt: skip
    assert not {*given} & launch.child_environment(given).keys()
    engine_python.keep_choice("/opt/gpu/bin/python")
    child = launch.child_environment(given)
    assert Path(child["PYTHONPATH"]).name == "engine" and child["PYTHONDONTWRITEBYTECODE"] == "1"
    assert not {"PYTHONHOME", "QT_PLUGIN_PATH", "_PYI_ARCHIVE_FILE", "LD_LIBRARY_PATH"} & child.keys()


@pytest.mark.skipif(os.name == "nt", reason="scripts of a shell")
@pytest.mark.parametrize(("text", "words"), [
    ("exit 3", "cannot be run as a Python"),
    ("echo hello", "cannot be run as a Python"),
    ('echo \'{"version": [3, 9, 1], "missing": [], "torch": null, "devices": []}\'', "is Python 3.9.1"),
    ('echo \'{"version": [3, 12, 1], "missing": ["msgspec"], "torch": null, "devices": []}\'', "lacks"),
])
def test_a_python_that_cannot_is_refused_in_words(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        examine(script(tmp_path, text))
    assert words in refused.value.problems[0].sentence()


def test_what_is_missing_is_said_with_the_line_to_type(tmp_path: Path) -> None:
    found = '{"version": [3, 12, 1], "missing": ["msgspec", "pynvml"], "torch": null, "devices": []}'
    python = script(tmp_path, f"echo '{found}'")
    with pytest.raises(ConfigError) as refused:
        examine(python)
    assert f"{python} -m pip install msgspec nvidia-ml-py" in refused.value.problems[0].sentence()


def test_the_command_says_keeps_and_forgets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = '{"version": [3, 12, 1], "missing": [], "torch": "2.13.0+cu130", "devices": ["A card"]}'
    python = script(tmp_path, f"echo '{answer}'")
    assert main(["engine", python]) == 0
    assert "A card" in capsys.readouterr().out
    assert main(["engine", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["python"], said["torch"], said["devices"]) == (python, "2.13.0+cu130", ["A card"])
    assert main(["engine", "--built-in"]) == 0
    assert engine_python.chosen_python() is None
    assert main(["engine", str(tmp_path / "none")]) == 2
