"""What else may lie where a run file is looked for, or beside it: nobody waits for it or writes through it."""

from __future__ import annotations

import errno
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.synthetic_run import write_run
from tfx_engine.pretrained.safetensors import write
from tfx_engine.protocol.plain_file import read_plain
from tfx_engine.runfile.errors import RunFileError, write_failure
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rescue import rescue
from tfx_engine.runfile.store import beside
from tfx_workbench.analysis.frontier_file import NAME, read_frontiers
from tfx_workbench.cli import main
from tfx_workbench.runs.library import Library

posix = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("small") / "run.tfx", layers=1, heads=1, context=8, width=8, steps=20)


@pytest.fixture
def path(small, tmp_path):
    return Path(shutil.copy(small, tmp_path / "run.tfx"))


@posix
@pytest.mark.parametrize("suffix", ["-journal", "-wal", "-shm"])
def test_a_pipe_that_sqlite_would_wait_for_is_named(path, suffix, capsys):
    os.mkfifo(beside(path, suffix))
    for command in (["show", str(path)], ["annotate", str(path), "--note", "x"], ["rescue", str(path)],
                    ["report", str(path), "-o", str(path.with_name("r.html"))]):
        assert main(command) == 2
        assert f"run.tfx{suffix} lies beside it and is not a file" in capsys.readouterr().err
    library = Library(path.parent)
    assert library.scan() == [] and [problem.code for problem in library.problems] == ["beside-not-a-file"]


@posix
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
@pytest.mark.parametrize("suffix", [".lock", ".spool", ".mail"])
def test_a_pipe_or_folder_in_place_of_our_own_files_hinders_no_reading(path, suffix, make, capsys):
    make(beside(path, suffix))
    assert main(["show", str(path), "--json"]) == 0
    assert [row.status for row in Library(path.parent).scan()] == ["finished"]


@posix
def test_a_folder_in_place_of_the_lock_is_said_to_who_would_write(path, capsys):
    beside(path, ".lock").mkdir()
    assert main(["annotate", str(path), "--note", "x"]) == 2
    assert str(path) in (said := capsys.readouterr().err) and "cannot be written" in said


@posix
def test_small_files_that_are_pipes_or_without_end_are_none(tmp_path):
    os.mkfifo(tmp_path / NAME)
    assert read_frontiers(tmp_path) == {}
    with pytest.raises(OSError, match="Not a plain file"):
        read_plain(Path("/dev/zero"))
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 2**40)
    assert len(read_plain(tmp_path / "sparse", 1000)) == 1000


@pytest.mark.skipif(os.name == "nt", reason="names are shorter there")
def test_a_name_beside_which_none_fits_is_read(path, capsys):
    long = path.rename(path.with_name("l" * 251 + ".tfx"))
    assert main(["show", str(long), "--json"]) == 0
    assert len(Library(path.parent).scan()) == 1
    assert main(["annotate", str(long), "--note", "x"]) == 2
    assert "File name too long" in capsys.readouterr().err


def test_a_file_that_says_it_is_a_terabyte_is_not_copied(path, monkeypatch):
    os.truncate(path, 2**40)
    monkeypatch.setattr("shutil.copyfile", lambda *_: pytest.fail("it was begun"))
    with pytest.raises(RunFileError) as refused:
        rescue(path, path.with_name("rescued.tfx"))
    assert refused.value.problem.code == "no-space" and not path.with_name("rescued.tfx").exists()


@posix
def test_whoever_names_a_pipe_or_a_link_to_nowhere_is_told_what_it_is(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.tfx")
    (tmp_path / "loop.tfx").symlink_to("loop.tfx")
    (tmp_path / "dangling.tfx").symlink_to("nowhere")
    for name, word in (("pipe", "is not a file"), ("loop", "cannot be read"), ("dangling", "no such file")):
        assert main(["show", str(tmp_path / f"{name}.tfx")]) == 2
        assert word in capsys.readouterr().err


@posix
@pytest.mark.parametrize("act", [
    lambda path: write(path, {}, {}),
    lambda path: write_failure(_io_error(), path),
], ids=["weights", "asking the disk"])
def test_nothing_is_written_through_a_link_that_was_put_there(tmp_path, act: Callable[[Path], object]):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for suffix in (".part", ".probe"):
        (tmp_path / f"run.tfx{suffix}").symlink_to(precious)
    act(tmp_path / "run.tfx")
    assert precious.read_text() == "mine"


def _io_error() -> sqlite3.Error:
    error = sqlite3.OperationalError(os.strerror(errno.EIO))
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    return error


def changed(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql)
    connection.close()


def test_an_infinity_of_bytes_is_no_reading_when_it_is_exported(path, tmp_path, capsys):
    changed(path, "UPDATE step SET allocated_bytes = 9e999 WHERE seq = 3")
    for kind in ("csv", "json"):
        assert main(["export", str(path), "--format", kind, "-o", str(tmp_path / kind)]) == 0
    assert ",inf," not in (tmp_path / "csv").read_text(encoding="utf-8")
    json.loads((tmp_path / "json").read_text(encoding="utf-8"), parse_constant=pytest.fail)


@pytest.mark.skipif(sys.platform != "linux", reason="names are text there")
@pytest.mark.parametrize("command", [["run", "five.toml"], ["doctor"], ["--headless"]], ids=str)
@pytest.mark.parametrize("is_default", [False, True])
def test_a_store_whose_name_is_no_text_is_refused_in_words(tmp_path, command, is_default, monkeypatch, capsys):
    """What processes say to each other is text, and names it."""
    (tmp_path / "five.toml").write_text("format = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tfx_engine.client.client.Connection", lambda *_: pytest.fail("the engine was started"))
    store = os.fsdecode(os.fsencode(tmp_path) + b"/\xff")
    monkeypatch.setenv("TFX_HOME", store)
    assert main([*command, *([] if is_default else ["--store", store])]) == 2
    assert "no text in UTF-8" in capsys.readouterr().err


@posix
def test_in_a_folder_that_was_removed_it_is_that_which_is_said(tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for command in (["list", "--store", "x"], ["run", "five.toml", "--json"], ["--headless"]):
        assert main(command) == 2
        said = capsys.readouterr()
        assert "typed is gone" in said.err + said.out


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits on the size of files are Unix's")
def test_where_the_copy_of_a_run_has_no_room_the_run_is_not_called_damaged(path, tmp_path):
    code = ("import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000));"
            "from tfx_engine.runfile.seal import copy_run; copy_run(sys.argv[1], sys.argv[2])")
    target = str(tmp_path / "copy.tfx")
    done = subprocess.run([sys.executable, "-c", code, str(path), target], capture_output=True, text=True)
    assert f"RunFileError: {target}: cannot be written" in done.stderr and not Path(target).exists()


def test_a_name_of_millions_of_letters_is_cut_short(path):
    changed(path, "UPDATE run SET name = hex(zeroblob(2000000))")
    (row,) = Library(path.parent).scan()
    assert len(row.name) == 10_000


@pytest.mark.parametrize("column", ["pool", "heads", "queries", "keys"])
def test_an_attention_map_of_no_size_is_the_files_fault(path, column):
    """The window divides by each of them while it paints."""
    changed(path, f"UPDATE attention SET {column} = 0")
    with RunReader(path) as reader, pytest.raises(RunFileError, match="is damaged"):
        reader.attention_captures()


@pytest.mark.parametrize("figure", ["9e999", "-9e999", "1e308", "5e-324"])
def test_a_time_or_a_size_that_cannot_be_is_no_reading(path, figure, capsys):
    for column in ("step_ms", "tokens", "allocated_bytes"):
        changed(path, f"UPDATE step SET {column} = {figure}")
    with RunReader(path) as reader:
        found = reader.steps()
        for column in ("step_ms", "tokens", "allocated_bytes", "tokens_per_s"):
            assert np.isnan(found[column]).all()
    assert main(["show", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tokens_per_s"]["median"] is None
    changed(path, f"UPDATE step SET t_ms = {figure}")
    with pytest.raises(RunFileError, match="no clock shows"), RunReader(path) as reader:
        reader.steps()


@pytest.mark.parametrize("sql", [
    "UPDATE profile_part SET ms = 9e999", "UPDATE profile_part SET flops = -9e999", "UPDATE operator SET calls = 9e999",
    "INSERT INTO trace VALUES (99, 1, 10000000000)",
])
def test_a_profile_of_what_cannot_be_is_the_files_fault(path, sql, tmp_path, capsys):
    changed(path, sql)
    with RunReader(path) as reader, pytest.raises(RunFileError, match="is damaged"):
        reader.profile_parts(), reader.operators(), reader.trace()
    kind = "trace" if "trace" in sql else "json"
    assert main(["export", str(path), "--format", kind, "-o", str(tmp_path / "all")]) == 2
    assert "is damaged" in capsys.readouterr().err


@pytest.mark.parametrize("choice", ["'rotary'", "null", "[]", "{}", '{"use": 5}'])
def test_a_technique_that_is_none_is_the_files_fault(path, small, choice, capsys):
    text = choice.replace("'", '"')
    changed(path, f"UPDATE run SET config_json = json_set(config_json, '$.techniques.position', json('{text}'))")
    with pytest.raises(RunFileError, match="names no technique for 'position'"), RunReader(path) as reader:
        reader.info()
    assert main(["compare", str(path), str(small)]) == 2
