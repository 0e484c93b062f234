"""`python -m tfx_engine check | estimate | run`: words, JSON and exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.helpers.services import info
from tfx_engine.__main__ import main

TINY = """
name = "tiny"
model = { width = 16, layers = 1, heads = 2, context = 16 }
run = { batch = 2, warmup_steps = 1, measure_steps = 2, device = "cpu", probes = false }
"""


@pytest.fixture
def tiny(tmp_path: Path) -> str:
    """A configuration that runs in a moment."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY)
    return str(path)


def test_a_good_configuration_has_no_problems(tiny: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", tiny]) == 0
    assert main(["check", tiny, "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"schema": 1, "ok": True, "problems": []}


@pytest.mark.parametrize("command", ["check", "estimate", "run"])
@pytest.mark.parametrize(("text", "path"), [
    ("model = { widht = 3 }", "model.widht"), ("model = 3", "model"), ("not toml", "bad.toml"), (None, "bad.toml"),
    ('data = { path = "/no/such/file" }', "data.path"),
])
def test_a_wrong_request_is_a_sentence_and_exit_code_2(
    command: str, text: str | None, path: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "bad.toml"
    if text is not None:
        file.write_text(text)
    assert main([command, str(file)]) == 2
    printed = capsys.readouterr()
    assert path in printed.err and not printed.out and "Traceback" not in printed.err
    assert main([command, str(file), "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False and path in answer["problems"][0]["path"]


def test_an_estimate_is_a_line_of_json(tiny: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["estimate", tiny, "--json"]) == 0
    estimate = json.loads(capsys.readouterr().out)
    assert estimate["params"]["total"] > 0 and estimate["flops_per_token"]["forward"] > 0
    assert main(["estimate", tiny]) == 0
    assert "params" in capsys.readouterr().out


def test_a_run_is_done_here_and_its_file_named(tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", tiny, "--store", str(tmp_path / "store"), "--json"]) == 0
    done = json.loads(capsys.readouterr().out)
    assert done["status"] == "finished" and info(Path(done["run"])).status == "finished"
    assert Path(done["run"]).parent == tmp_path / "store"


def test_a_store_that_cannot_be_written_is_exit_code_2(
    tiny: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main(["run", tiny, "--store", str(tmp_path / "file" / "store")]) == 2
    assert "file" in capsys.readouterr().err


def test_without_a_command_the_usage_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([])
    assert caught.value.code == 2 and "COMMAND" in capsys.readouterr().err
