"""A file that is missing for a moment is no news of a run that is being written."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from tests.helpers.synthetic_run import running
from tfx_engine.runfile.errors import RunFileError, failure
from tfx_engine.runfile.seal import copy_run
from tfx_workbench.runs.presence import BACK_WITHIN_S, Presence
from tfx_workbench.runs.rundata import RunData


def test_only_a_missing_file_of_a_running_run_is_waited_for_and_not_for_ever(tmp_path):
    now = [0.0]
    presence = Presence(tmp_path / "a.tfx", lambda: now[0])
    gone = failure("no-such-file", tmp_path / "a.tfx")
    assert not presence.may_come_back(gone, "finished")
    assert not presence.may_come_back(failure("foreign-schema", tmp_path / "a.tfx", kind="x", name="y"), "running")
    assert presence.may_come_back(gone, "running")
    now[0] = BACK_WITHIN_S / 2
    assert presence.may_come_back(gone, "running")
    presence.is_here()
    now[0] = BACK_WITHIN_S * 1.2
    assert presence.may_come_back(gone, "running")
    now[0] = BACK_WITHIN_S * 2.3
    assert not presence.may_come_back(gone, "running")


def test_whoever_watches_a_run_goes_on_when_its_file_was_taken_away_and_put_back(tmp_path):
    path = tmp_path / "a.tfx"
    with running(path) as writing:
        writing.advance(5)
        writing.writer.flush()
        run = RunData(path)
        run.refresh()
        path.unlink()
        assert run.refresh() == frozenset() or path.exists()
        writing.advance(5)
        writing.writer.flush()
        assert "steps" in run.refresh()
        assert len(run.steps) == 10 and "put-back" in [event.code for event in run.events]
        run.close()


def test_a_run_that_has_ended_and_is_gone_is_said_at_once(tmp_path):
    path = tmp_path / "a.tfx"
    with running(path) as writing:
        writing.advance(5)
        writing.end("finished")
    run = RunData(path).load()
    path.unlink()
    with pytest.raises(RunFileError, match="no such file"):
        run.refresh()
    run.close()


def test_who_reads_a_run_once_is_told_at_once_what_cannot_be_read(tmp_path):
    path = tmp_path / "a.tfx"
    with running(path) as writing:
        writing.advance(5)
        writing.writer.flush()
        copy_run(path, tmp_path / "copy.tfx")
    with closing(sqlite3.connect(tmp_path / "copy.tfx")) as connection, connection:
        connection.execute("UPDATE run SET status = 'running'")
        connection.execute("UPDATE event SET args = 'x'")
    run = RunData(tmp_path / "copy.tfx")
    with pytest.raises(RunFileError, match="damaged"):
        run.load()
    run.close()
