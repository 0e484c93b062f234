"""A run file that is removed, moved or replaced while it is written is put back, with everything in it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from contextlib import closing, suppress

import pytest

from tests.helpers.synthetic_run import make_config
from tfx_engine.runfile import reserve
from tfx_engine.runfile.connect import connect
from tfx_engine.runfile.create import create
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.lock import RunLock, holder, is_locked
from tfx_engine.runfile.outcome import INTERRUPTED, write_state
from tfx_engine.runfile.place import MOST_FOUND, Place
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.seal import seal
from tfx_engine.runfile.store import beside, side_files
from tfx_engine.runfile.writer import RunWriter

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows lets nobody remove a file that is open")


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "runs" / "run.tfx"
    path.parent.mkdir()
    create(path, make_config("a run"), "name = 'a run'")
    return path


@pytest.fixture
def writer(path):
    with RunWriter(path) as writer:
        writer.state("running")
        record(writer, 1, 200)
        yield writer


def record(writer, first, last):
    for step in range(first, last + 1):
        writer.step(step=step, phase="measure", loss=float(step))
    writer.flush()


def losses(path):
    with RunReader(path) as reader:
        return reader.steps()["loss"].tolist()


def codes(path):
    with RunReader(path) as reader:
        return [event.code for event in reader.events()]


def seen_by_another_process(path):
    """In one process SQLite shares what it knows of a file, whatever lies on the disk."""
    program = f"""
import sqlite3
print(sqlite3.connect("file:{path}?mode=ro", uri=True).execute("SELECT COUNT(*) FROM step").fetchone()[0])
"""
    return int(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


def taken_lock(path):
    """As somebody who is quicker than the writer."""
    while True:
        beside(path, ".lock").unlink(missing_ok=True)
        with suppress(RunFileError):
            return RunLock(path)


def until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


WAYS = {
    "the file": lambda path: path.unlink(),
    "all files": lambda path: [file.unlink(missing_ok=True) for file in [path, *side_files(path)]],
    "the log": lambda path: beside(path, "-wal").unlink(),
    "the memory shared with readers": lambda path: beside(path, "-shm").unlink(),
    "the folder": lambda path: path.parent.rename(path.parent.with_name("away")),
}


@pytest.mark.parametrize("take", WAYS.values(), ids=WAYS)
def test_what_is_removed_is_put_back_with_everything_that_was_recorded_before_and_after(path, writer, take):
    take(path)
    record(writer, 201, 400)
    assert seen_by_another_process(path) == 400
    assert losses(path) == list(range(1, 401))
    assert codes(path).count("put-back") >= 1
    assert is_locked(path) and path.stat().st_mode & 0o777 == 0o600
    writer.close()
    assert losses(path) == list(range(1, 401))
    assert not any(file.exists() for file in side_files(path))


def test_a_link_whose_target_is_removed_is_put_back(tmp_path):
    target, path = tmp_path / "elsewhere.tfx", tmp_path / "run.tfx"
    create(target, make_config("a run"), "name = 'a run'")
    path.symlink_to(target)
    with RunWriter(path) as writer:
        writer.state("running")
        record(writer, 1, 50)
        target.unlink()
        record(writer, 51, 100)
        assert losses(path) == list(range(1, 101))


def test_a_log_that_belongs_to_the_file_in_its_place_goes_with_it(path):
    other, copy = path.with_name("other.tfx"), path.with_name("copy.tfx")
    create(other, make_config("another run"), "name = 'another run'")
    with RunWriter(other) as another:
        another.state("running")
        record(another, 1, 30)
        for suffix in ("", "-wal"):
            shutil.copy(beside(other, suffix), beside(copy, suffix))
    place = Place(path)
    for suffix in ("", "-wal"):
        beside(copy, suffix).replace(beside(path, suffix))
    assert place.is_lost()
    found = path.with_name(place.put_back())
    assert not place.is_lost()
    place.connection.close()
    assert losses(found) == list(range(1, 31))
    with RunReader(path) as reader:
        assert reader.info().name == "a run"


def test_a_second_removal_while_it_is_put_back_is_noticed_too(path, writer, monkeypatch):
    real, times = reserve.make, []

    def make(file):
        real(file)
        times.append(file)
        if len(times) == 1:
            path.unlink()

    monkeypatch.setattr(reserve, "make", make)
    path.unlink()
    record(writer, 201, 300)
    until(path.exists)
    record(writer, 301, 400)
    assert losses(path) == list(range(1, 401))


def test_who_puts_another_file_there_every_time_does_not_fill_the_disk(path, writer):
    for n in range(MOST_FOUND + 1):
        other = path.with_name(f"other{n}.tfx")
        create(other, make_config("another run"), "name = 'another run'")
        other.replace(path)
        if n < MOST_FOUND:
            record(writer, 100 * n + 201, 100 * n + 300)
    until(lambda: writer.error)
    assert "again and again" in str(writer.error)
    assert len(list(path.parent.glob("run-found-*.tfx"))) == MOST_FOUND
    path.unlink()
    record(writer, 701, 800)
    assert losses(path) == list(range(1, 801))


def test_it_is_put_back_also_while_nothing_is_recorded(path, writer):
    path.unlink()
    until(path.exists)
    until(lambda: "put-back" in codes(path))


def test_it_is_put_back_when_it_is_taken_away_just_before_the_end(path):
    with RunWriter(path) as writer:
        writer.state("running")
        record(writer, 1, 50)
        writer.state("finished")
        path.unlink()
    assert losses(path) == list(range(1, 51))
    with RunReader(path) as reader:
        assert reader.info().status == "finished"


def test_again_and_again(path, writer):
    for n in range(1, 6):
        path.unlink()
        record(writer, 100 * n + 101, 100 * n + 200)
    assert losses(path) == list(range(1, 701))
    assert codes(path).count("put-back") == 5


def test_a_file_that_is_moved_is_complete_where_it_is_now(path, writer):
    moved = path.with_name("moved.tfx")
    path.rename(moved)
    record(writer, 201, 300)
    assert losses(path) == list(range(1, 301))
    assert losses(moved) == list(range(1, 201))
    seal(moved)
    with RunReader(moved) as reader:
        assert reader.info().status == "interrupted"
    record(writer, 301, 400)
    assert losses(moved) == list(range(1, 201))
    assert losses(path) == list(range(1, 401))


def test_another_file_in_its_place_is_kept_under_another_name(path, writer):
    other = path.with_name("other.tfx")
    create(other, make_config("another run"), "name = 'another run'")
    whole = other.read_bytes()
    other.replace(path)
    record(writer, 201, 300)
    assert losses(path) == list(range(1, 301))
    (found,) = path.parent.glob("run-found-*.tfx")
    assert found.read_bytes() == whole
    with RunReader(path) as reader:
        assert found.name in next(event for event in reader.events() if event.code == "put-back").message


def test_where_it_cannot_be_put_back_that_is_said_and_tried_again(path):
    said: list[RunFileError | None] = []
    with RunWriter(path, on_error=said.append) as writer:
        writer.state("running")
        record(writer, 1, 50)
        folder = path.parent
        folder.rename(folder.with_name("away"))
        folder.write_text("not a folder")
        writer.step(step=51, phase="measure", loss=51.0)
        until(lambda: said)
        assert said[0] is not None and "it is a file, not a folder" in str(said[0])
        folder.unlink()
        until(lambda: said[-1] is None)
        writer.state("finished")
    assert losses(path) == list(range(1, 52))
    assert {"put-back", "write-resumed"} <= set(codes(path))


def test_a_lock_whose_file_is_removed_is_taken_anew_and_says_the_same(path):
    with RunLock(path) as lock:
        lock.note(beats_s=1.0)
        lock.file.unlink()
        assert not is_locked(path)
        lock.keep()
        assert is_locked(path) and holder(path)["beats_s"] == 1.0
        lock.keep()
    assert not lock.file.exists()


def test_a_lock_that_another_process_has_meanwhile_is_left_to_it_until_it_is_free(path):
    lock = RunLock(path)
    lock.file.unlink()
    with RunLock(path) as other:
        lock.keep()
        assert other.is_held and other.file.exists()
    lock.keep()
    assert is_locked(path)
    lock.release()
    assert not is_locked(path) and not lock.file.exists()


def test_a_run_that_was_sealed_while_its_lock_was_away_is_running_again(path, writer):
    with taken_lock(path), closing(connect(path)) as connection:  # as a list of runs that was quicker than the writer
        connection.execute("BEGIN IMMEDIATE")
        write_state(connection, "interrupted", INTERRUPTED, None)
        connection.execute("COMMIT")
        record(writer, 201, 300)
        with RunReader(path) as reader:
            assert reader.info().recorded_status == "interrupted"
    until(lambda: is_locked(path))
    record(writer, 301, 400)
    with RunReader(path) as reader:
        info = reader.info()
        assert (info.status, info.ended_at) == ("running", None)
    assert losses(path) == list(range(1, 401))
    assert "locked-again" in codes(path)


def test_nobody_seals_a_run_whose_lock_was_taken_away_and_whose_writer_lives(path, writer):
    beside(path, ".lock").unlink()
    assert not seal(path)
    with RunReader(path) as reader:
        assert reader.info().status == "running"


def test_letting_go_of_a_lost_lock_leaves_that_of_another(path):
    lock = RunLock(path)
    lock.file.unlink()
    with RunLock(path):
        lock.release()
        assert is_locked(path)
