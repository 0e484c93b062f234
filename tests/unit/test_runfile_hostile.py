"""Run files that somebody prepared: whatever they define, nothing of it runs, neither on reading nor on writing."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.helpers.synthetic_run import write_run
from tfx_engine.protocol.filling import LONGEST, fill
from tfx_engine.protocol.messages import Control
from tfx_engine.runfile import spool
from tfx_engine.runfile.edit import annotate, rename
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.lock import RunLock, holder, is_locked
from tfx_engine.runfile.mailbox import Mailbox, post
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rows import Event
from tfx_engine.runfile.seal import seal
from tfx_engine.runfile.snapshot import Opener
from tfx_engine.runfile.store import beside
from tfx_engine.runfile.tables import TABLES
from tfx_engine.runfile.writer import RunWriter

SMALL = {"layers": 1, "heads": 1, "context": 8, "width": 8, "steps": 20}
BOMB = "hex(zeroblob(400000000))"  # 800 MB, in one instruction of SQLite's


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("small") / "run.tfx", **SMALL)


@pytest.fixture
def path(small, tmp_path):
    return Path(shutil.copy(small, tmp_path / "run.tfx"))


def change(path: Path, script: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(script)


def redefined(table: str, old: str, new: str) -> str:
    """A script that changes the definition of a table and leaves its rows."""
    old, new = old.replace("'", "''"), new.replace("'", "''")
    return (f"PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, '{old}', '{new}') "
            f"WHERE name = '{table}'; PRAGMA writable_schema = RESET;")


def replaced(table: str, view: str) -> str:
    return f"ALTER TABLE {table} RENAME TO kept; CREATE VIEW {table} AS {view}"


HOSTILE = {
    "a trigger on our writes": "CREATE TRIGGER t AFTER INSERT ON annotation BEGIN UPDATE run SET name = 'taken'; END",
    "a trigger on renaming": "CREATE TRIGGER t BEFORE UPDATE ON run BEGIN DELETE FROM step; END",
    "a view for a table": replaced("event", "SELECT * FROM kept"),
    "a view that never ends": replaced("log", "WITH RECURSIVE n(seq) AS (SELECT 1 UNION ALL SELECT seq + 1 FROM n) "
                                              "SELECT seq, 1.0 AS t_ms, 'a' AS stream, 'b' AS text FROM n"),
    "a virtual table": "CREATE VIRTUAL TABLE v USING fts5(x)",
    "a generated column": redefined("event", "code TEXT NOT NULL", f"code TEXT GENERATED ALWAYS AS ({BOMB}) VIRTUAL"),
    "another expression": redefined("step", "tokens * 1000.0 / step_ms", BOMB),
    "a check": redefined("annotation", "value TEXT NOT NULL", f"value TEXT NOT NULL CHECK (length({BOMB}) > 1)"),
    "a default": redefined("event", "DEFAULT '{}'", f"DEFAULT ({BOMB})"),
    "an index on an expression": f"CREATE INDEX i ON annotation (length(value || {BOMB}))",
    "an index of some rows": "CREATE INDEX i ON annotation (key) WHERE value > hex(zeroblob(9))",
    "a column more": f"ALTER TABLE evaluation ADD COLUMN more TEXT AS ({BOMB})",
    "hidden in a text": redefined("run", "DEFAULT ''", f"DEFAULT '/*', x TEXT AS ({BOMB}), y TEXT DEFAULT '*/'"),
    "in other letters": redefined("run", "boot_id TEXT", f"böot_id TEXT AS ({BOMB}), boot_id TEXT"),
    "a name in capitals": replaced("event", "SELECT * FROM kept").replace("CREATE VIEW event", "CREATE VIEW EVENT"),
}


@pytest.mark.parametrize("script", HOSTILE.values(), ids=HOSTILE)
def test_what_could_act_is_refused_in_a_sentence_by_all_who_open_a_file(path, script):
    change(path, script)
    before = path.read_bytes()
    acts: list[Callable[[], object]] = [
        lambda: RunReader(path), lambda: RunWriter(path), lambda: annotate(path, note="mine"),
        lambda: rename(path, "mine"),
    ]
    for act in acts:
        with pytest.raises(RunFileError) as refused:
            act()
        problem = refused.value.problem
        assert problem.code in ("foreign-schema", "damaged") and problem.hint and str(path) in problem.sentence()
    assert path.read_bytes() == before


def test_what_is_only_added_beside_our_tables_does_no_harm(path):
    change(path, "CREATE TABLE mine (a); INSERT INTO mine VALUES (1); ANALYZE")
    annotate(path, note="mine")
    with RunReader(path) as reader:
        assert reader.annotations().note == "mine" and reader.count_steps() > 0


def test_every_table_of_ours_is_looked_at(path):
    """A definition that nobody knows is found wherever it is."""
    for table in TABLES:
        copy = Path(shutil.copy(path, path.with_name(f"with {table}.tfx")))
        change(copy, f"ALTER TABLE {table} ADD COLUMN unknown")
        with pytest.raises(RunFileError, match=f"definition in {table}"):
            RunReader(copy)


def test_a_connection_is_told_to_trust_nothing(path):
    with closing(Opener(path).open()) as connection:
        told = {name: connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("trusted_schema", "query_only", "cell_size_check", "mmap_size")}
        assert told == {"trusted_schema": 0, "query_only": 1, "cell_size_check": 1, "mmap_size": 0}
        assert connection.getlimit(sqlite3.SQLITE_LIMIT_LENGTH) == 2**29
        assert connection.getlimit(sqlite3.SQLITE_LIMIT_ATTACHED) == 0
        with pytest.raises(sqlite3.Error):
            connection.execute("ATTACH ':memory:' AS other")
        with pytest.raises(sqlite3.Error):
            connection.execute("SELECT load_extension('x')")
        with pytest.raises(sqlite3.Error):
            connection.execute("DELETE FROM step")


def test_a_statement_that_does_not_end_is_ended(path, monkeypatch):
    monkeypatch.setattr("tfx_engine.runfile.snapshot._STATEMENT_S", 0.05)
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    with RunReader(path) as reader, pytest.raises(RunFileError, match="did not end"), reader.reading():
        reader.rows(endless)


def test_time_in_which_the_process_did_not_run_is_no_statements(path, monkeypatch):
    monkeypatch.setattr("tfx_engine.runfile.snapshot._STATEMENT_S", 0.2)
    long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50000) SELECT count(*) FROM n"
    opener = Opener(path)
    with closing(opener.open()) as connection:
        opener.allow_time()
        time.sleep(0.4)
        assert connection.execute(long).fetchone() == (50000,)


@pytest.mark.parametrize("script", [
    "UPDATE step SET step_ms = 'fast'", "UPDATE step SET step = x'00ff'", "UPDATE event SET t_ms = 'never'",
    "UPDATE evaluation SET held_out_loss = x'ff'", "UPDATE memory_probe SET peak_bytes = 'much'",
    "UPDATE attention SET weights = 5", "UPDATE attention SET heads = 'two'", "UPDATE fact SET value = x'ff00'",
    "UPDATE memory_probe SET timeline = zeroblob(9)", "UPDATE device_sample SET cpu_percent = 'all'",
    "UPDATE run SET queue_position = 'first'", "UPDATE annotation SET value = '[1]'", "DELETE FROM run",
    "UPDATE profile_part SET ms = 'long'", "UPDATE memory_block SET shape = '{'", "UPDATE audit SET args = '[]'",
])
def test_values_of_another_kind_are_the_files_fault(path, script):
    annotate(path, tags=["a"])
    change(path, script)
    with RunReader(path) as reader:
        for name in ("info", "facts", "annotations", "predictions", "newest", "steps", "memory_probes", "evaluations",
                     "attention_captures", "device_samples", "events", "audit", "profile_parts", "memory_blocks"):
            try:
                getattr(reader, name)()
                for capture in reader.attention_captures():
                    reader.attention(capture.capture, 0)
            except RunFileError as error:
                assert error.problem.code == "damaged" and error.problem.hint


# ---------------------------------------------------------------------------------------- sentences

@pytest.mark.parametrize("template", [
    "{x.__class__}", "{x[0]}", "{0}", "{}", "{x:>9999999999}", "{x:.999999999}", "{x:{x}}", "{x!s}", "{x!a}",
    "{x:>100}", "{", "}", "{x:c}", "{missing}", "{x}" * 200_000,
])
def test_a_template_of_a_file_reads_no_attributes_and_fills_no_memory(template):
    assert Event(1, 0.0, "", "problem", "x", template, {"x": 7}).message == template


def test_what_our_own_templates_do_is_done():
    assert fill("{a} {b!r} {c:.2f} {d:,} {{}}", {"a": "x", "b": "y", "c": 1.234, "d": 12345}) == "x 'y' 1.23 12,345 {}"
    with pytest.raises(ValueError, match="too long"):
        fill("{x}{x}", {"x": "a" * (LONGEST // 2 + 1)})


# ---------------------------------------------------------------------------------------- what lies beside

@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="links are followed here")
def test_nothing_is_written_through_a_link_that_lies_beside_a_file(path, tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("mine")
    for suffix in (".lock", ".mail", ".reserve"):
        beside(path, suffix).symlink_to(precious)
    with pytest.raises(RunFileError):
        annotate(path, note="x")
    with pytest.raises(RunFileError):
        post(path, Control(id="1", action="stop"))
    assert not is_locked(path)
    beside(path, ".lock").unlink()
    RunWriter(path).close()  # makes room for its last words
    assert precious.read_text() == "mine" and not precious.is_symlink()


@pytest.mark.parametrize("note", [b"[" * 4096, b'{"pid": -1, "heir": {"pid": -1}}', b"[" * 10**6, b'{"heir": 3}'])
def test_a_lock_file_of_anybody_s_making_is_no_lock(path, note):
    text = note.replace(b'"pid": -1}}', f'"pid": -1, "host": "{socket.gethostname()}", "started": 1}}}}'.encode())
    beside(path, ".lock").write_bytes(text)
    assert not is_locked(path)
    holder(path)
    with RunLock(path):
        assert is_locked(path)


def test_a_note_of_where_a_run_is_recorded_never_takes_a_folder_away(path, tmp_path):
    """It names a run file of ours, beside which other things lie."""
    home = tmp_path / "home"
    home.mkdir()
    shutil.copy(path, home / "run.tfx")
    (home / "thesis.txt").write_text("years")
    said = {"host": socket.gethostname(), "file": str(home / "run.tfx")}
    beside(path, ".spool").write_text(json.dumps(said))
    seal(path)
    assert spool.recorded_at(path) == path
    spool.end(home / "run.tfx", path)  # even if it were followed
    assert (home / "thesis.txt").read_text() == "years"


def test_a_note_without_end_is_none(path):
    beside(path, ".spool").write_text("[" * 100_000)
    assert spool.recorded_at(path) == path


def test_a_mailbox_that_somebody_filled_does_not_fill_the_memory(path):
    file = beside(path, ".mail")
    with file.open("wb") as stream:
        stream.truncate(2**31)  # of nothing but zeros, and no end of a line
    mailbox = Mailbox(path)
    assert mailbox.poll() == [] and mailbox.unreadable == 1
