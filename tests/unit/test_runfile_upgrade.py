"""Files of older schemas: read as they are, brought up to date only by who writes to them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.tiny import tiny_config
from tfx_engine.runfile.create import create
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.header import check_file
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.tables import SCHEMA_VERSION
from tfx_engine.runfile.upgrade import CHANGES, DEVICE_NEW_IN_3, NEW_IN_3, VIEWS
from tfx_engine.runfile.writer import RunWriter

_OLD_EVALUATION = """
DROP TABLE evaluation;
CREATE TABLE evaluation (
  seq INTEGER PRIMARY KEY, step INTEGER NOT NULL, t_ms REAL NOT NULL,
  held_out_loss REAL, tokens INTEGER NOT NULL
);
PRAGMA user_version = 1;
"""


@pytest.fixture
def old_file(tmp_path: Path) -> Path:
    """A queued run as schema 1 had it."""
    path = tmp_path / "old.tfx"
    create(path, tiny_config(), "")
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(_OLD_EVALUATION)
        for table in NEW_IN_3:
            connection.execute(f"DROP TABLE {table}")
        for column in DEVICE_NEW_IN_3:
            connection.execute(f"ALTER TABLE device_sample DROP COLUMN {column}")
    return path


def test_every_older_version_has_its_way_to_the_next() -> None:
    assert set(VIEWS) == set(CHANGES) == set(range(1, SCHEMA_VERSION))


def test_an_old_file_is_read_without_what_it_never_had_and_stays_as_it_is(old_file: Path) -> None:
    with closing(sqlite3.connect(old_file)) as connection, connection:
        connection.execute("INSERT INTO evaluation VALUES (1, 5, 2.5, 3.25, 64)")
        connection.execute("INSERT INTO device_sample (t_ms, power_w) VALUES (1, 70)")
    before = old_file.read_bytes()
    reader = RunReader(old_file)
    for _ in range(2):  # also where the connection is a new one
        (evaluation,) = reader.evaluations()
        assert (evaluation.step, evaluation.held_out_loss, evaluation.tokens) == (5, 3.25, 64)
        assert evaluation.accuracy is None and evaluation.bits_per_byte is None
        samples = reader.device_samples()
        assert samples["power_w"].tolist() == [70] and np.isnan(samples["energy_j"]).all()
    assert reader.newest()["evaluation"] == 1
    reader.close()
    assert old_file.read_bytes() == before


def test_an_old_file_of_a_queued_run_is_brought_up_to_date_by_its_writer(old_file: Path) -> None:
    with RunWriter(old_file) as writer:
        writer.state("running")
        writer.evaluation(step=0, held_out_loss=2.0, tokens=8, accuracy=0.5, bits_per_byte=1.5)
        writer.device_sample(energy_j=5.0)
        writer.state("finished")
    assert check_file(old_file).version == SCHEMA_VERSION
    with closing(RunReader(old_file)) as reader:
        (evaluation,) = reader.evaluations()
    assert (evaluation.accuracy, evaluation.bits_per_byte) == (0.5, 1.5)


def test_what_an_old_file_gets_from_its_writer_is_seen_before_it_is_in_the_file_itself(old_file: Path) -> None:
    with RunWriter(old_file) as writer:
        writer.state("running")
        writer.audit(slot="mask", technique="causal", claim="hides", ok=True, code="x", template="It does.", args={})
        writer.flush()
        assert check_file(old_file).version == 1  # the rest is in the log, where a killed writer leaves it
        with closing(RunReader(old_file)) as reader:
            assert [row.message for row in reader.audit()] == ["It does."]
        writer.state("finished")


def test_a_newer_version_in_the_log_is_refused_as_one_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.tfx"
    create(path, tiny_config(), "")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        assert check_file(path).version == SCHEMA_VERSION
        with pytest.raises(RunFileError) as refused:
            RunReader(path)
        assert refused.value.problem.code == "newer-version"
