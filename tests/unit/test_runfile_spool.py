"""A store on a network file system: recorded elsewhere, read as if it were there, brought home at the end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.helpers.synthetic_run import make_config, running
from tfx_engine.runfile import spool
from tfx_engine.runfile.create import create
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.header import is_sealed
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.seal import seal
from tfx_engine.runfile.store import beside
from tfx_engine.runfile.writer import RunWriter


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A folder that passes for one on a network file system."""
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    store = tmp_path / "net"
    monkeypatch.setattr(spool, "is_network_filesystem", lambda path: Path(path).is_relative_to(store))
    store.mkdir()
    return store


def local_files(tmp_path):
    return [file for file in (tmp_path / "home").rglob("*") if file.is_file()]


def test_a_run_is_live_while_it_is_recorded_elsewhere_and_at_home_when_it_ends(store, tmp_path):
    path = store / "run.tfx"
    with running(path, steps=20) as run, RunReader(path) as reader:
        run.advance(20)
        run.writer.flush()
        assert (reader.info().status, reader.count_steps()) == ("running", 20)
        assert not beside(path, "-wal").exists() and local_files(tmp_path)
        run.end("finished")
    assert [file.name for file in store.iterdir()] == ["run.tfx"] and local_files(tmp_path) == []
    with RunReader(path) as reader:
        assert (reader.info().status, reader.count_steps()) == ("finished", 20)
        (event,) = [event for event in reader.events() if event.code == "spooled"]
        assert str(tmp_path / "home") in event.message


def test_a_killed_run_is_brought_home_by_sealing(store, tmp_path):
    path = store / "run.tfx"
    with running(path, steps=20) as run:
        run.advance(20)
        run.writer.flush()
        kept = tmp_path / "kept"
        shutil.copytree(store, kept)
        shutil.copytree(tmp_path / "home", tmp_path / "home kept")
    for file in kept.iterdir():
        shutil.copy(file, store)
    shutil.copytree(tmp_path / "home kept", tmp_path / "home", dirs_exist_ok=True)
    with RunReader(path) as reader:
        info = reader.info()
        assert (info.status, info.recorded_status, reader.count_steps()) == ("interrupted", "running", 20)
        assert seal(path) and is_sealed(path)
        assert (reader.info().recorded_status, reader.count_steps()) == ("interrupted", 20)
    assert [file.name for file in store.iterdir()] == ["run.tfx"] and local_files(tmp_path) == []


def test_a_store_that_cannot_be_reached_at_the_end_loses_nothing(store, monkeypatch):
    path = store / "run.tfx"
    create(path, make_config(), "")
    writer = RunWriter(path)
    writer.state("running")
    writer.step(step=1, phase="measure")
    writer.state("finished")
    away = store.rename(store.with_name("away"))
    with pytest.raises(RunFileError):
        writer.close()
    away.rename(store)
    assert seal(path)
    with RunReader(path) as reader:
        assert (reader.info().status, reader.count_steps()) == ("finished", 1)


@pytest.mark.parametrize("said", ["rubbish", "[]", {"host": "elsewhere", "file": "/x/run.tfx"}, {"file": 3}])
def test_a_note_that_leads_nowhere_is_not_followed(store, said):
    path = store / "run.tfx"
    create(path, make_config(), "")
    beside(path, ".spool").write_text(said if isinstance(said, str) else json.dumps(said))
    assert spool.recorded_at(path) == path
    with RunReader(path) as reader:
        assert reader.info().status == "queued"
