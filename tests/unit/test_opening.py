"""Files that are opened, from the command line, a menu or dropped on the window: what cannot be opened is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfx_workbench.session.opening import open_files


@pytest.mark.parametrize(("name", "code"), [
    ("x" * 5000 + ".tfx", "no-such-file"), ("x" * 5000 + ".toml", "unreadable"), ("a\0b.tfx", "no-such-file"),
    ("~no-such-user/a.toml", "no-such-file"), ("picture.png", "unknown-file"),
])
def test_what_cannot_be_a_file_is_a_sentence(name: str, code: str) -> None:
    assert [problem.code for problem in open_files([name]).problems] == [code]


@pytest.mark.parametrize(("path", "wanted"), [
    ("my.txt", "{folder}/my.txt"), ("x" * 5000, "x" * 5000), ("a\\u0000b", "a\0b"),
])
def test_data_beside_a_configuration_is_found_and_what_cannot_be_a_path_is_left(
    tmp_path: Path, path: str, wanted: str
) -> None:
    (tmp_path / "my.txt").write_text("words")
    (tmp_path / "some_run.toml").write_text(f'[data]\ntask = "text"\npath = "{path}"\n')
    found = open_files([tmp_path / "some_run.toml"])
    (config,) = found.configs
    assert not found.problems and config["name"] == "some run"
    assert config["data"]["path"] == wanted.format(folder=tmp_path)
