"""Tables and JSON of a run: the recorded numbers, units in names, no formulas, files whole or not at all."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import socket
from contextlib import closing

import pytest

from tests.helpers.synthetic_run import write_run
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.runfile.reader import RunReader
from tfx_workbench.cli import main
from tfx_workbench.commands import grammars
from tfx_workbench.exporting import parquet
from tfx_workbench.exporting.csv_file import cell, write_csv
from tfx_workbench.exporting.formats import FORMATS
from tfx_workbench.exporting.tables import TABLES
from tfx_workbench.exporting.target import written

SMALL = {"layers": 2, "heads": 2, "context": 16, "width": 16}
HOSTILE = "=1+1 <b>🦙</b> ../../x"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("store") / "run.tfx", name=HOSTILE, steps=40, **SMALL)


def export(run, *arguments):
    return main(["export", str(run), *map(str, arguments)])


def test_the_steps_are_the_recorded_ones_with_all_their_digits(run, tmp_path, capsys):
    target = tmp_path / "steps.csv"
    assert export(run, "--format", "csv", "-o", target, "--json") == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 43
    rows = list(csv.DictReader(io.StringIO(target.read_text(encoding="utf-8"))))
    with closing(RunReader(run)) as reader:
        recorded = reader.steps()
    assert [float(row["loss_nats"]) for row in rows] == recorded["loss"].tolist()
    assert [float(row["step_ms"]) for row in rows] == recorded["step_ms"].tolist()
    assert [int(row["rss_bytes"]) for row in rows] == recorded["rss_bytes"].astype(int).tolist()
    assert {row["device_bytes"] for row in rows} == {""}  # missing is not zero


def test_every_table_is_written_into_a_folder_and_says_what_the_json_says(run, tmp_path):
    assert export(run, "--format", "csv", "--table", "all", "-o", tmp_path / "csv") == 0
    assert export(run, "--format", "json", "-o", tmp_path / "run.json") == 0
    whole = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert whole["schema"] == 1 and whole["name"] == HOSTILE and whole["summary"]["steps"] == 43
    assert whole["missing"]["device_bytes"] and whole["config"]["model"]["layers"] == 2
    for name, table in TABLES.items():
        text = (tmp_path / "csv" / f"{name}.csv").read_text(encoding="utf-8")
        rows = list(csv.reader(io.StringIO(text, newline="")))
        assert rows[0] == whole["tables"][name]["columns"] == list(table.columns)
        assert len(rows) - 1 == len(whole["tables"][name]["rows"])
    assert len(whole["tables"]["layers"]["rows"]) >= 2 * 43
    memory = dict(zip(whole["tables"]["memory"]["columns"], whole["tables"]["memory"]["rows"][0], strict=True))
    assert sum(value for key, value in memory.items() if key.endswith("_at_peak_bytes")) == memory["peak_bytes"]


def test_long_tables_are_read_in_pieces_without_loss(run, monkeypatch):
    with closing(RunReader(run)) as reader:
        whole = {name: list(table.rows(reader)) for name, table in TABLES.items()}
        monkeypatch.setattr("tfx_workbench.exporting.tables.PIECE", 7)
        assert {name: list(table.rows(reader)) for name, table in TABLES.items()} == whole


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\r=1"])
def test_text_is_never_a_formula(text):
    file = io.BytesIO()
    write_csv(file, ["a"], [[text]])
    assert next(csv.reader(io.StringIO(file.getvalue().decode().split("\n", 1)[1], newline="")))[0][0] == "'"


def test_numbers_and_missing_readings_stay_what_they_are():
    assert [cell(value) for value in (-1.5, 0, None, True, "a-b", "x\0")] == [-1.5, 0, "", "true", "a-b", "x�"]


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_dash_is_stdout_and_nothing_else_is_said_there(run, kind, capfdbinary):
    assert export(run, "--format", kind, "-o", "-") == 0
    out = capfdbinary.readouterr().out.decode()
    assert out.startswith("step,") if kind == "csv" else json.loads(out)["format"] == "tfx-run"


@pytest.mark.parametrize("wrong", [["--format", "tensorboard"], ["--format", "csv", "--table", "all"]])
def test_what_is_no_text_does_not_go_to_stdout(run, wrong, capsys):
    assert export(run, *wrong, "-o", "-") == 2
    assert capsys.readouterr().out == ""


def test_nothing_is_overwritten_unasked(run, tmp_path, capsys):
    target = tmp_path / "a.csv"
    target.write_text("mine")
    assert export(run, "--format", "csv", "-o", target) == 2
    assert "--force" in capsys.readouterr().err and target.read_text() == "mine"
    assert export(run, "--format", "csv", "-o", target, "--force") == 0 and target.read_text() != "mine"
    assert export(run, "--format", "csv", "-o", tmp_path) == 2  # a folder
    assert [path.name for path in tmp_path.iterdir()] == ["a.csv"]


def test_nothing_is_written_over_a_run(run, tmp_path, capsys):
    other = write_run(tmp_path / "other.tfx", **SMALL)
    before = other.read_bytes()
    (tmp_path / "link").symlink_to(other)
    for target in (other, tmp_path / "link"):
        assert export(run, "--format", "csv", "-o", target, "--force") == 2
        assert "is a run" in capsys.readouterr().err and other.read_bytes() == before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_written_into_and_a_socket_is_left_alone(run, tmp_path, capsys):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # a reader, so that nobody waits for one
    try:
        assert export(run, "--format", "csv", "--table", "audit", "-o", pipe, "--force") == 0
        assert os.read(end, 4) == (",".join(TABLES["audit"].columns)).encode()[:4]
    finally:
        os.close(end)
    assert pipe.is_fifo() and capsys.readouterr().out == ""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "s"))
        assert export(run, "--format", "csv", "-o", tmp_path / "s", "--force") == 2
        assert "neither a file nor a pipe" in capsys.readouterr().err and (tmp_path / "s").is_socket()


def test_a_link_stays_and_what_it_leads_to_is_replaced(run, tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert export(run, "--format", "csv", "-o", tmp_path / "link", "--force") == 0
    assert (tmp_path / "link").is_symlink() and (tmp_path / "file").read_text().startswith("step,")


def test_of_every_table_none_is_written_where_one_is_there(run, tmp_path, capsys):
    last = tmp_path / f"{list(TABLES)[-1]}.csv"
    last.write_text("mine")
    assert export(run, "--format", "csv", "--table", "all", "-o", tmp_path) == 2
    assert "nothing was written" in capsys.readouterr().err and list(tmp_path.iterdir()) == [last]


def test_a_folder_that_is_not_there_is_said_of_the_output(run, tmp_path, capsys):
    assert export(run, "--format", "csv", "-o", tmp_path / "no" / "a.csv", "--json") == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem["code"] == "no-such-folder" and str(tmp_path / "no") in problem["message"]
    assert "-o" in problem["hint"] and "--store" not in problem["hint"]


@pytest.mark.parametrize(("more", "word"), [
    (["--format", "json", "--table", "layers", "-o", "FILE"], "--table: means nothing beside --format json"),
    (["--format", "csv", "-o", "-", "--json"], "--json: means nothing beside -o -"),
])
def test_an_option_that_means_nothing_is_refused(run, tmp_path, capsys, more, word):
    assert export(run, *(str(tmp_path / "a") if each == "FILE" else each for each in more)) == 2
    said = capsys.readouterr()
    if "--json" in more:
        (problem,) = json.loads(said.out)["problems"]
        assert f"{problem['path']}: {problem['message']}".startswith(word)
    else:
        assert word in said.err
    assert not any(tmp_path.iterdir())


def test_a_full_disk_is_said_in_words_and_leaves_nothing(tmp_path):
    with pytest.raises(ConfigError, match="no space left on the disk"), written(tmp_path / "a.csv") as file:
        file.write(b"half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["no/folder/a.csv", "a\0b", "x" * 300])
def test_a_name_that_cannot_be_is_a_sentence(tmp_path, name):
    with pytest.raises(ConfigError) as refused, written(tmp_path / name) as file:
        file.write(b"x")
    assert "cannot be written" in str(refused.value) and not any(tmp_path.iterdir())


def test_a_queued_run_has_nothing_to_export(tmp_path, capsys):
    queued = write_run(tmp_path / "queued.tfx", status="queued", **SMALL)
    for kind in ("csv", "json", "tensorboard"):
        assert export(queued, "--format", kind, "-o", tmp_path / kind) == 2
        assert "queued" in capsys.readouterr().err and not (tmp_path / kind).exists()


def test_several_runs_are_for_a_bundle_alone(run, tmp_path, capsys):
    assert main(["export", str(run), str(run), "--format", "csv", "-o", str(tmp_path / "a")]) == 2
    assert "bundle" in capsys.readouterr().err


def test_without_pyarrow_parquet_names_what_to_install(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    assert export(run, "--format", "parquet", "--table", "all", "-o", tmp_path / "all") == 2
    assert "tfx-workbench[parquet]" in capsys.readouterr().err and not (tmp_path / "all").exists()


def test_parquet_says_what_csv_says(run, tmp_path):
    read = pytest.importorskip("pyarrow.parquet", reason="pyarrow, an extra, is not installed")
    assert parquet.pyarrow()
    for name in ("steps", "layers", "audit"):
        assert export(run, "--format", "parquet", "--table", name, "-o", tmp_path / name) == 0
        found = read.read_table(tmp_path / name)
        with closing(RunReader(run)) as reader:
            rows = [list(row) for row in TABLES[name].rows(reader)]
        assert [list(row.values()) for row in found.to_pylist()] == rows


def test_the_parser_offers_what_there_is():
    assert set(grammars._FORMATS) == set(FORMATS) and set(grammars._TABLES) == {*TABLES, "all"}
