"""`report` on the command line: what it writes, what it refuses and why, and that nothing is lost or half written."""

from __future__ import annotations

import errno
import json
import os

import pytest

from tests.helpers.synthetic_run import write_five
from tfx_workbench.cli import main


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return [str(path) for path in write_five(tmp_path_factory.mktemp("five"), steps=12, layers=1, heads=1)][:2]


def refused(capsys, *arguments) -> dict:
    """The one problem with which a command is refused."""
    assert main([*map(str, arguments), "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is False
    (problem,) = answer["problems"]
    return problem


def test_a_file_that_is_there_stays_unless_it_may_be_replaced(runs, tmp_path, capsys):
    target = tmp_path / "report.html"
    target.write_text("mine")
    assert refused(capsys, "report", *runs, "-o", target, "--exhibits", "loss")["code"] == "exists"
    assert target.read_text() == "mine"
    assert main(["report", *runs, "-o", str(target), "--exhibits", "loss", "--force"]) == 0
    assert target.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_a_report_is_never_written_over_a_run(tmp_path, capsys):
    mine, other = write_five(tmp_path, steps=12, layers=1, heads=1)[:2]
    target = other.rename(tmp_path / "run.html")  # whatever it is called
    before = target.read_bytes()
    assert refused(capsys, "report", mine, "-o", target, "--exhibits", "loss", "--force")["code"] == "is-a-run"
    assert target.read_bytes() == before


@pytest.mark.parametrize(("name", "more", "code"), [
    ("report.docx", [], "bad-format"), ("report", [], "bad-format"), ("picture.svg", [], "one-exhibit"),
    ("picture.csv", ["--exhibits", "loss,memory"], "one-exhibit"), ("r.html", ["--exhibits", "los"], "no-such-exhibit"),
    ("r.html", ["--exhibits", ","], "no-such-exhibit"),
])
def test_what_cannot_be_made_is_refused_with_what_can(runs, tmp_path, capsys, name, more, code):
    problem = refused(capsys, "report", *runs, "-o", tmp_path / name, *more)
    assert problem["code"] == code and problem["hint"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_said(runs, tmp_path, capsys):
    problem = refused(capsys, "report", *runs, "-o", tmp_path / "nowhere" / "r.html", "--exhibits", "loss")
    assert problem["code"] == "no-such-folder" and "-o" in problem["hint"] and "nowhere" in problem["path"]


def test_a_name_that_no_system_takes_is_said_without_its_number(runs, tmp_path, capsys):
    problem = refused(capsys, "report", *runs, "-o", tmp_path / f"{'x' * 300}.html")
    assert "cannot be written: " in problem["message"] and "Errno" not in problem["message"]


def test_a_full_disk_is_said_in_words_and_leaves_nothing(runs, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr("pathlib.Path.replace", full)
    problem = refused(capsys, "report", *runs, "-o", tmp_path / "r.html", "--exhibits", "loss")
    assert problem["code"] == "no-space" and "no space left on the disk" in problem["message"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".svg", ".csv"])
def test_one_exhibit_is_a_file_of_its_own(runs, tmp_path, capsys, suffix):
    target = tmp_path / f"throughput{suffix}"
    assert main(["report", *runs, "-o", str(target), "--exhibits", "throughput", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {"schema": 1, "path": str(target), "format": suffix[1:], "bytes": target.stat().st_size,
                      "runs": runs, "exhibits": ["throughput"]}


def test_runs_are_shown_once_and_in_their_order(runs, tmp_path, capsys):
    target = tmp_path / "r.html"
    assert main(["report", runs[1], runs[0], runs[1], "-o", str(target), "--exhibits", "loss", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == [runs[1], runs[0]]
    text = target.read_text(encoding="utf-8")
    assert text.index("recompute") < text.index("baseline")
