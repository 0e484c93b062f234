"""A reader of whatever somebody names: a run, or a sentence that says what it is instead."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.helpers.synthetic_run import running, write_run
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rows import Event
from tfx_engine.runfile.seal import seal
from tfx_engine.runfile.store import beside
from tfx_engine.runfile.tables import APPLICATION_ID, LAYER_COLUMNS, SCHEMA_VERSION, schema
from tfx_engine.runfile.writer import RunWriter


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small run file with a row of every kind."""
    folder = tmp_path_factory.mktemp("small")
    path = write_run(folder / "run.tfx", layers=2, heads=2, context=16, steps=40, width=16)
    with RunWriter(path) as writer:
        writer.log("stderr", "a line")
    return path


def read_all(path):
    """Everything that a reader gives."""
    with RunReader(path) as reader, reader.snapshot():
        found = [reader.info(), reader.facts(), reader.missing(), reader.predictions(), reader.newest(), reader.steps()]
        found += [reader.layer_steps(name) for name in LAYER_COLUMNS]
        found += [reader.rollup_columns(), reader.rollup(1), reader.memory_probes(), reader.evaluations()]
        found += [reader.device_samples(), reader.events(), reader.logs(), reader.count_steps()]
        for capture in reader.attention_captures():
            found.append(reader.attention_tokens(capture.capture))
            found += [reader.attention(capture.capture, layer) for layer in capture.layers]
        found += [event.message for event in reader.events()]
    return found


def refusal(path):
    """The problem with which a file is refused."""
    with pytest.raises(RunFileError) as refused:
        RunReader(path)
    problem = refused.value.problem
    assert str(path) in problem.sentence() and problem.hint
    return problem


def with_byte(path, target, offset, data):
    """A copy of a file with other bytes at an offset."""
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    target.write_bytes(content)
    return target


def test_the_numbers_in_python_are_those_of_the_schema():
    assert f"application_id = {APPLICATION_ID};" in schema() and f"user_version = {SCHEMA_VERSION};" in schema()
    assert struct.pack(">I", APPLICATION_ID) == b"TFX1"


def test_what_is_not_there_or_no_file_is_a_sentence(tmp_path):
    assert refusal(tmp_path / "none.tfx").code == "no-such-file"
    assert refusal(tmp_path).code == "not-a-file"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.tfx")
    assert refusal(tmp_path / "pipe.tfx").code == "not-a-file"


@pytest.mark.parametrize("content", [b"", b"name = 'x'\n", b"\0" * 5000, random.Random(0).randbytes(5000)])
def test_a_file_that_is_no_database_is_a_sentence(tmp_path, content):
    path = tmp_path / "x.tfx"
    path.write_bytes(content)
    assert refusal(path).code == "not-sqlite"


def test_a_database_of_something_else_is_a_sentence(tmp_path):
    path = tmp_path / "x.tfx"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE other (id)")
    assert refusal(path).code == "not-a-run-file"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")
    assert refusal(path).code == "damaged"


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize("change", [
    f"UPDATE run SET config_json = '{DEEP}'", "UPDATE run SET config_json = '{}'",
    "UPDATE run SET config_json = json_set(config_json, '$.run.warmup_steps', 'x')",
    "UPDATE run SET queue_position = 9e999", "PRAGMA ignore_check_constraints = ON; UPDATE run SET status = 'burning'",
    f"UPDATE fact SET value = '{DEEP}'", "UPDATE fact SET value = '[1]' WHERE key = 'params'",
    "UPDATE fact SET value = '3' WHERE key = 'layer_names'",
    "INSERT INTO prediction (key, value, level) VALUES ('a', 1, 'instant'), ('a.b', 1, 'instant')",
    "INSERT INTO prediction (key, value, level) VALUES ('a', 'x', 'instant')",
], ids=lambda change: change[:60])
def test_content_that_was_tampered_with_is_the_files_fault(tmp_path, small, change):
    path = shutil.copy(small, tmp_path / "x.tfx")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(change)
        connection.commit()
    with pytest.raises(RunFileError) as refused:
        read_all(path)
    assert refused.value.problem.code == "damaged"


def test_a_schema_that_is_no_text_is_the_files_fault(tmp_path, small):
    content = small.read_bytes()
    assert b"CREATE TABLE rollup (" in content
    path = tmp_path / "x.tfx"
    path.write_bytes(content.replace(b"CREATE TABLE rollup (", b"CREATE TABLE roll\xa6p ("))
    assert refusal(path).code == "damaged"


def test_a_newer_file_is_refused_politely(tmp_path, small):
    newer = with_byte(small, tmp_path / "newer.tfx", 60, struct.pack(">i", SCHEMA_VERSION + 1))
    problem = refusal(newer)
    assert problem.code == "newer-version" and f"version is {SCHEMA_VERSION + 1}" in problem.message
    for act in (RunWriter, seal):
        with pytest.raises(RunFileError) as refused:
            act(newer)
        assert refused.value.problem.code == "newer-version"
    assert [file.name for file in tmp_path.iterdir()] == ["newer.tfx"]


@pytest.mark.parametrize("statement", [
    "CREATE TRIGGER t AFTER INSERT ON event BEGIN DELETE FROM step; END",
    "CREATE VIEW v AS SELECT 1",
    "CREATE TEMP TABLE x (a); PRAGMA writable_schema = ON;"
    "INSERT INTO sqlite_schema VALUES ('table', 'v', 'v', 0, 'CREATE VIRTUAL TABLE v USING fts5(x)')",
])
def test_a_file_with_triggers_views_or_virtual_tables_is_not_opened(tmp_path, small, statement):
    path = shutil.copy(small, tmp_path / "x.tfx")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statement)
    assert refusal(path).code == "foreign-schema"
    with pytest.raises(RunFileError) as refused:
        RunWriter(path)
    assert refused.value.problem.code == "foreign-schema"


def test_a_truncated_file_is_a_sentence_wherever_it_is_cut(tmp_path, small):
    content = small.read_bytes()
    path = tmp_path / "cut.tfx"
    rng = random.Random(1)
    for size in {1, 15, 16, 99, 100, 4095, 4096, len(content) - 1, *(rng.randrange(len(content)) for _ in range(60))}:
        path.write_bytes(content[:size])
        assert refusal(path).code == "truncated", size


@pytest.mark.parametrize("length", [1, 64])
def test_a_damaged_file_is_read_or_refused_but_never_crashes_or_hangs(tmp_path, small, length):
    content = small.read_bytes()
    path = tmp_path / "damaged.tfx"
    rng = random.Random(length)
    outcomes = set()
    for _ in range(200):
        offset = rng.randrange(len(content) if rng.random() < 0.5 else 12_000)
        damage = rng.randbytes(length) if length > 1 else bytes([content[offset] ^ (1 << rng.randrange(8))])
        path.write_bytes(content[:offset] + damage + content[offset + length :])
        start = time.perf_counter()
        try:
            read_all(path)
            outcomes.add("read")
        except RunFileError as error:
            outcomes.add(error.problem.code)
            assert error.problem.message
        assert time.perf_counter() - start < 10
        for side in ("-wal", "-shm", "-journal"):
            beside(path, side).unlink(missing_ok=True)
    assert {"read", "damaged"} <= outcomes


def test_an_event_whose_template_and_arguments_do_not_fit_is_shown_as_it_is():
    for template in ("{missing}", "{", "{0}", "{x.y.z}", "{x:d}"):
        assert Event(1, 0.0, "", "problem", "x", template, {"x": "text"}).message == template


def test_a_sealed_file_is_not_touched_by_reading_it(tmp_path, small):
    path = Path(shutil.copy(small, tmp_path / "run.tfx"))
    before = path.read_bytes()
    read_all(path)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["run.tfx"]


def test_what_was_killed_while_running_is_interrupted_and_complete_also_without_a_seal(tmp_path):
    with running(tmp_path / "live.tfx", steps=20) as run:
        run.advance(20)
        run.writer.flush()
        for name in ("live.tfx", "live.tfx-wal"):
            shutil.copy(tmp_path / name, tmp_path / name.replace("live", "killed"))
    with RunReader(tmp_path / "killed.tfx") as reader:
        info = reader.info()
        assert (info.status, info.recorded_status, info.is_locked) == ("interrupted", "running", False)
        assert info.reason and reader.count_steps() == 20


READ_AS_NOBODY = """
import os, sys, urllib.parse  # which a path needs for its address; nobody may not read a Python below /root
import tfx_engine.runfile.reader as reader
if os.geteuid() == 0:
    os.setuid(65534)
for path in sys.argv[1:]:
    with reader.RunReader(path) as run:
        print(run.info().status, run.count_steps())
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_files_in_a_folder_that_may_not_be_written_are_read_sealed_or_not(small, repo):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(small, folder / "sealed.tfx")
        with running(folder / "live.tfx", steps=20) as run:
            run.advance(20)
            run.writer.flush()
            for side in ("", "-wal"):
                shutil.copy(folder / f"live.tfx{side}", folder / f"copied.tfx{side}")
        for file in folder.iterdir():
            file.chmod(0o444)
        folder.chmod(0o555)
        paths = [str(folder / file) for file in ("sealed.tfx", "copied.tfx")]
        done = subprocess.run([sys.executable, "-c", READ_AS_NOBODY, *paths], cwd=repo, capture_output=True, text=True)
        folder.chmod(0o755)
        assert done.stdout.split() == ["finished", "43", "interrupted", "20"], done.stderr
        assert len(list(folder.iterdir())) == 4


def test_a_write_that_was_cut_off_outside_the_log_is_taken_back(tmp_path, small):
    path, cut = tmp_path / "run.tfx", tmp_path / "cut.tfx"
    shutil.copy(small, path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript("PRAGMA cache_size = 1; BEGIN; DELETE FROM step; UPDATE run SET name = 'cut'")
        for suffix in ("", "-journal"):
            shutil.copy(beside(path, suffix), beside(cut, suffix))
    assert cut.read_bytes() != small.read_bytes()
    for _ in range(2):
        with RunReader(cut) as reader:
            assert (reader.info().name, reader.count_steps()) == ("synthetic", 43)
        seal(cut)
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["cut.tfx", "run.tfx"]


def test_a_snapshot_sees_one_moment_and_does_not_keep_the_writer(tmp_path):
    with running(tmp_path / "live.tfx", steps=100) as run, RunReader(run.writer.path) as reader:
        run.advance(10)
        run.writer.flush()
        with reader.snapshot():
            assert reader.count_steps() == 10
            run.advance(10)
            run.writer.flush()
            assert reader.count_steps() == 10
        assert reader.count_steps() == 20


def test_a_run_that_ends_while_it_is_looked_at_does_not_seem_to_have_been_killed(tmp_path, monkeypatch):
    monkeypatch.setattr("tfx_engine.runfile.seal._PATIENCE_MS", 20)
    path = write_run(tmp_path / "run.tfx", status="queued")
    with RunReader(path) as reader:
        with RunWriter(path) as writer:
            writer.state("running")
            with reader.snapshot():
                writer.state("finished")
                writer.close()
                assert reader.info().status == "running"  # as it was when the snapshot began
        assert reader.info().status == "finished"


def test_a_run_that_begins_while_it_is_looked_at_does_not_seem_to_have_been_killed(tmp_path):
    path = write_run(tmp_path / "run.tfx", status="queued")
    with RunReader(path) as reader, RunWriter(path) as writer:
        writer.state("running")
        with reader.snapshot():
            reader.was_locked = False  # as if its lock had been looked at just before it began
            assert reader.info().status == "running"


def test_asking_for_what_there_is_not(small):
    with RunReader(small) as reader:
        with pytest.raises(RunFileError) as refused:
            reader.attention(99, 0)
        assert refused.value.problem.code == "no-such-capture"
        with pytest.raises(KeyError):
            reader.steps(columns=["speed"])
        with pytest.raises(KeyError):
            reader.layer_steps("loss")
