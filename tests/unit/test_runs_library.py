"""The library of run files, and which run somebody means."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time

import pytest

from tests.helpers.synthetic_run import running, write_run
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.runfile.edit import annotate, rename
from tfx_engine.runfile.errors import RunFileError, failure
from tfx_engine.runfile.header import is_sealed
from tfx_engine.runfile.lock import RunLock
from tfx_workbench.runs import library
from tfx_workbench.runs.find import find_run
from tfx_workbench.runs.library import Library
from tfx_workbench.runs.listing import listing_file
from tfx_workbench.runs.presence import BACK_WITHIN_S


@pytest.fixture
def store(tmp_path):
    write_run(tmp_path / "20260101-000000-first-aaaa.tfx", name="first", steps=6)
    write_run(tmp_path / "20260101-000001-twin-bbbb.tfx", name="twin", steps=6)
    write_run(tmp_path / "20260101-000002-twin-cccc.tfx", name="twin", status="queued")
    return tmp_path


def test_a_store_that_does_not_exist_is_empty(tmp_path):
    assert Library(tmp_path / "nowhere").scan() == []


def test_runs_are_listed_the_oldest_first(store):
    rows = Library(store).scan()
    assert [row.name for row in rows] == ["first", "twin", "twin"]
    assert [row.status for row in rows] == ["finished", "finished", "queued"]
    assert rows[0].steps == 9


def test_an_unchanged_file_is_not_opened_again(store):
    library = Library(store)
    before = library.scan()
    assert all(a is b for a, b in zip(before, library.scan(), strict=True))


def test_a_changed_file_is_looked_at_again(store):
    library = Library(store)
    with running(store / "live.tfx", name="live") as writing:
        assert {row.name: row.steps for row in library.scan()}["live"] == 0
        writing.advance(4)
        writing.writer.flush()
        row = next(row for row in library.scan() if row.name == "live")
        assert (row.status, row.steps) == ("running", 4)
        writing.end("finished")
    assert {row.name: row.status for row in library.scan()}["live"] == "finished"


def test_a_file_that_is_no_run_is_named_and_does_not_hide_the_others(store):
    (store / "bad.tfx").write_bytes(b"no database")
    library = Library(store)
    assert len(library.scan()) == 3
    assert [problem.path for problem in library.problems] == [str(store / "bad.tfx")]


def test_a_run_that_cannot_be_read_for_a_moment_stays_and_one_that_cannot_be_read_again_is_named(store):
    library = Library(store)
    path = library.scan()[0].path
    whole = path.read_bytes()
    path.write_bytes(b"half a file")
    assert len(library.scan()) == 3 and library.problems == ()
    path.write_bytes(whole)
    assert len(library.scan()) == 3 and library.problems == ()
    path.write_bytes(b"no database")
    assert len(library.scan()) == 3 and library.problems == ()
    assert len(library.scan()) == 2 and [problem.path for problem in library.problems] == [str(path)]


def test_a_running_run_whose_file_was_taken_away_stays_until_its_writer_has_put_it_back(tmp_path):
    library, path = Library(tmp_path), tmp_path / "a.tfx"
    with running(path) as writing:
        writing.advance(7)
        writing.writer.flush()
        assert [row.steps for row in library.scan()] == [7]
        path.unlink()
        assert [row.status for row in library.scan()] == ["running"]
        writing.advance(1)
        writing.writer.flush()
        assert [row.steps for row in library.scan()] == [8]


def test_a_running_run_whose_writer_is_gone_too_stays_for_seconds_only(tmp_path, monkeypatch):
    found, path = Library(tmp_path), tmp_path / "a.tfx"
    with running(path) as writing:
        writing.writer.flush()
        found.scan()
    path.unlink()
    assert [row.status for row in found.scan()] == ["running"]
    assert [row.status for row in found.scan()] == ["running"]
    now = time.monotonic()
    monkeypatch.setattr(library.time, "monotonic", lambda: now + 2 * BACK_WITHIN_S)
    assert found.scan() == []


def test_a_run_that_waits_in_a_queue_stays_too_and_one_that_nobody_keeps_does_not(tmp_path):
    found, path = Library(tmp_path), tmp_path / "a.tfx"
    write_run(path, status="queued", steps=6)
    write_run(tmp_path / "b.tfx", status="queued", steps=6)
    with RunLock(path):
        assert len(found.scan()) == 2
        for gone in (path, tmp_path / "a.tfx.lock", tmp_path / "b.tfx"):
            gone.unlink()
        for _ in range(3):  # other things have the table scanned too, one after the other
            assert [row.path for row in found.scan()] == [path]


def test_an_abandoned_run_is_sealed_as_interrupted(tmp_path):
    pid = os.fork()
    if pid == 0:  # a writer that dies without a word
        with running(tmp_path / "a.tfx") as writing:
            writing.advance(7)
            writing.writer.flush()
            os._exit(9)
    os.waitpid(pid, 0)
    assert not is_sealed(tmp_path / "a.tfx")
    row = Library(tmp_path).scan()[0]
    assert (row.status, row.steps) == ("interrupted", 7)
    assert is_sealed(tmp_path / "a.tfx")


def test_a_run_that_ended_where_there_was_no_room_for_sealing_is_sealed_later(tmp_path):
    with running(tmp_path / "live.tfx") as writing:
        writing.advance(5)
        writing.end("stopped")
        for side in ("", "-wal"):
            shutil.copy(tmp_path / f"live.tfx{side}", tmp_path / f"a.tfx{side}")
    assert not is_sealed(tmp_path / "a.tfx")
    assert [(row.status, row.steps) for row in Library(tmp_path).scan()] == [("stopped", 5)] * 2
    assert is_sealed(tmp_path / "a.tfx")


def test_an_abandoned_run_that_cannot_be_sealed_is_shown_as_it_is(tmp_path, monkeypatch):
    path = write_run(tmp_path / "a.tfx", steps=6)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE run SET status = 'running'")
    connection.commit()
    connection.close()

    def no_room(path):
        raise failure("no-space", path)

    monkeypatch.setattr(library, "seal", no_room)
    found = Library(tmp_path)
    assert [row.status for row in found.scan()] == ["interrupted"]
    assert found.problems == ()


def test_deleting_takes_everything_that_belongs_to_a_run(store):
    path = store / "20260101-000000-first-aaaa.tfx"
    (store / f"{path.name}.mail").write_text("{}\n")
    Library(store).delete(path)
    assert [file.name for file in store.iterdir() if "first" in file.name] == []


def test_a_run_can_be_called_something_else(store):
    library = Library(store)
    row = library.scan()[0]
    rename(row.path, "zweite Wahl")
    assert library.scan()[0].name == "zweite Wahl"


def test_note_and_tags_are_kept_in_the_file_and_cleaned(store):
    path = Library(store).scan()[0].path
    annotate(path, note="two\nlines, ✓", tags=[" paper ", "figure  2", "paper", "", "a,b", "x" * 99])
    row = Library(store).scan()[0]
    assert row.note == "two\nlines, ✓"
    assert row.tags == ("paper", "figure 2", "a b", "x" * 60)
    annotate(path, tags=[])
    row = Library(store).scan()[0]
    assert (row.note, row.tags) == ("two\nlines, ✓", ())
    assert is_sealed(path)


def test_a_run_that_is_being_written_is_not_annotated(tmp_path):
    with running(tmp_path / "a.tfx"), pytest.raises(RunFileError):
        annotate(tmp_path / "a.tfx", note="no")


def test_what_was_found_is_known_to_the_next_start_without_opening_files(store, monkeypatch):
    monkeypatch.setattr(library, "WORTH_KEEPING", 2)
    first = Library(store).scan()

    def read_row(path):
        opened.append(path.name)
        return actual(path)

    opened, actual = [], library.read_row
    monkeypatch.setattr(library, "read_row", read_row)
    assert Library(store).scan() == first
    assert opened == ["20260101-000002-twin-cccc.tfx"]  # it has not ended
    rename(first[0].path, "another")
    opened.clear()
    assert Library(store).scan()[0].name == "another"
    assert sorted(opened) == ["20260101-000000-first-aaaa.tfx", "20260101-000002-twin-cccc.tfx"]


@pytest.mark.parametrize("content", [b"", b"no JSON", b'{"format": 2, "store": "", "rows": {}}', b"[1]"])
def test_a_listing_that_nobody_wrote_counts_for_nothing(store, content):
    file = listing_file(store)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    assert len(Library(store).scan()) == 3


def test_a_run_that_is_being_written_is_not_deleted(tmp_path):
    with running(tmp_path / "a.tfx"):
        with pytest.raises(RunFileError, match="Stop the run first"):
            Library(tmp_path).delete(tmp_path / "a.tfx")
        assert (tmp_path / "a.tfx").exists()


@pytest.mark.parametrize(
    "text", ["first", "20260101-000000-first-aaaa", "20260101-000000-first-aaaa.tfx", "20260101-000000"]
)
def test_a_run_is_found_by_what_people_type(store, text):
    assert find_run(text, Library(store)).name == "20260101-000000-first-aaaa.tfx"


def test_a_run_is_found_by_its_path_and_by_the_beginning_of_its_identity(store):
    library = Library(store)
    row = library.scan()[0]
    assert find_run(str(row.path), Library(store / "nowhere")) == row.path
    assert find_run(row.run_id[:8], library) == row.path


def test_a_name_of_two_runs_is_refused_with_both(store):
    with pytest.raises(ConfigError, match=r"bbbb.*cccc"):
        find_run("twin", Library(store))


def test_an_unknown_run_is_refused_with_the_nearest(store):
    with pytest.raises(ConfigError, match="Did you mean 'first'"):
        find_run("frist", Library(store))


def test_a_folder_is_no_run(store):
    with pytest.raises(ConfigError, match="is a folder"):
        find_run(str(store), Library(store))
