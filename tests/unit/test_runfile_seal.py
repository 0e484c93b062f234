"""Sealing leaves one complete file; copying gives one at any moment."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from tests.helpers.synthetic_run import running, write_run
from tfx_engine.protocol.messages import Control
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.header import is_sealed
from tfx_engine.runfile.mailbox import post
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.seal import copy_run, seal


@pytest.fixture
def killed(tmp_path):
    """A run file as a killed worker leaves it: its rows are in the log beside it."""
    with running(tmp_path / "live.tfx", steps=100) as run:
        run.advance(100)
        run.writer.flush()
        for side in ("", "-wal"):
            shutil.copy(tmp_path / f"live.tfx{side}", tmp_path / f"killed.tfx{side}")
    (tmp_path / "live.tfx").unlink()
    (tmp_path / "killed.tfx.lock").touch()
    return tmp_path / "killed.tfx"


def test_an_abandoned_run_becomes_one_file_that_says_so(killed):
    post(killed, Control(id="1", action="stop"))
    assert not is_sealed(killed) and seal(killed)
    assert [file.name for file in killed.parent.iterdir()] == ["killed.tfx"]
    with RunReader(killed) as reader:
        info = reader.info()
        assert (info.recorded_status, reader.count_steps()) == ("interrupted", 100)
        assert info.reason and info.ended_at
        rows = reader.rollup(1)
    assert rows["bucket"].tolist() == list(range(6))
    assert not seal(killed)


def test_a_run_that_is_being_written_is_not_sealed(tmp_path):
    with running(tmp_path / "live.tfx") as run:
        assert not seal(run.writer.path)
        with RunReader(run.writer.path) as reader:
            assert reader.info().status == "running"


def test_a_queued_run_stays_queued_and_keeps_its_letters(tmp_path):
    path = write_run(tmp_path / "run.tfx", status="queued")
    post(path, Control(id="1", action="stop"))
    assert not seal(path)
    with RunReader(path) as reader:
        assert reader.info().status == "queued"
    assert (tmp_path / "run.tfx.mail").exists()


def test_a_reader_in_the_middle_of_something_delays_sealing_and_loses_nothing(killed, monkeypatch):
    monkeypatch.setattr("tfx_engine.runfile.seal._PATIENCE_MS", 50)
    with RunReader(killed) as reader:
        with reader.snapshot():
            assert seal(killed)
            assert not is_sealed(killed)
        assert (reader.info().recorded_status, reader.count_steps()) == ("interrupted", 100)
        assert seal(killed) and is_sealed(killed)
        assert (reader.info().recorded_status, reader.count_steps()) == ("interrupted", 100)


def test_what_is_no_run_file_is_not_sealed_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "x.tfx"
    path.write_text("nothing")
    with pytest.raises(RunFileError):
        seal(path)
    assert [file.name for file in tmp_path.iterdir()] == ["x.tfx"]


def test_a_copy_of_a_live_run_is_complete_and_sealed(tmp_path):
    target = tmp_path / "copy.tfx"
    with running(tmp_path / "live.tfx", steps=100) as run:
        run.advance(60)
        run.writer.flush()
        copy_run(run.writer.path, target)
        with pytest.raises(RunFileError) as refused:
            copy_run(run.writer.path, target)
        assert refused.value.problem.code == "exists"
    assert is_sealed(target)
    with closing(sqlite3.connect(target)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    with RunReader(target) as reader:
        assert (reader.info().status, reader.count_steps()) == ("interrupted", 60)
    assert not list(tmp_path.glob(".*"))


def test_a_copy_to_where_nothing_can_be_written_is_a_sentence(tmp_path):
    path = write_run(tmp_path / "run.tfx", steps=3)
    with pytest.raises(RunFileError):
        copy_run(path, tmp_path / "nothing" / "copy.tfx")
