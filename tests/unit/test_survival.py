"""A little of each campaign in `tests/survival`, by the same commands: none of them may find a fault."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.tiny import tiny_config
from tests.survival.pace import apart, changes, is_second, median_of
from tests.survival.preload import compiler
from tests.survival.table import CANNOT_BE_TOLD, Row, below, show
from tfx_engine.runfile.create import create
from tfx_engine.runfile.unfinished import half_of

forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
faults = pytest.mark.skipif(compiler() is None, reason="calls are made to fail on Linux, with a C compiler")


def campaign(repo: Path, name: str, *arguments: str) -> str:
    """The table of one campaign, which must have found no fault."""
    command = [sys.executable, "-m", f"tests.survival.{name}", *arguments]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@forks
def test_every_acknowledged_row_of_killed_writers_is_there(repo: Path) -> None:
    assert campaign(repo, "kills", "--kills", "20").startswith("20 kills, ")


@faults
def test_a_write_or_sync_that_fails_at_any_moment_loses_nothing_and_is_said(repo: Path) -> None:
    # 7 rounds are about 240 calls, from the first of the new file to the last of the sealed one.
    found = campaign(repo, "writes", "--rounds", "7", "--calls", "240", "--every", "13", "--kinds", "EIO", "torn kill")
    assert found.count(" 0 faults") == 2
    campaign(repo, "writes", "--rounds", "7", "--calls", "240", "--every", "60", "--kinds", "ENOSPC for ever")


@forks
def test_a_file_that_is_cut_or_has_a_bit_turned_over_is_read_or_refused_in_words(repo: Path) -> None:
    found = campaign(repo, "damage", "--flips", "60", "--step", "9973", "--log-step", "9973")
    assert "0 crashes, hangs or tracebacks" in found


@forks
def test_what_somebody_takes_away_of_a_live_run_is_put_back(repo: Path) -> None:
    assert ", 0 faults" in campaign(repo, "taken", "--times", "32")


@faults
def test_a_file_of_an_older_format_is_old_or_new_whenever_its_migration_is_killed(repo: Path) -> None:
    found = campaign(repo, "migration", "--every", "37")
    assert " killed, 0 faults" in found and ": old" in found and ": new" in found


def test_what_was_left_of_a_file_that_was_being_made_is_swept_by_the_next(tmp_path: Path) -> None:
    old, young = half_of(tmp_path / "a.tfx"), half_of(tmp_path / "b.tfx")
    journal = tmp_path / f"{old.name}-journal"
    for file in (old, young, journal, tmp_path / ".other"):
        file.write_bytes(b"x")
    for file in (old, journal, tmp_path / ".other"):
        os.utime(file, times=(time.time() - 7200,) * 2)
    create(tmp_path / "run.tfx", tiny_config(), "")
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted([young.name, ".other", "run.tfx"])


def test_a_change_in_turns_is_told_beside_outliers_and_a_drift() -> None:
    draw, turns = np.random.default_rng(9), np.arange(240)
    kind = np.array([is_second(number) for number in turns])
    times = 30 * np.exp(0.02 * draw.standard_normal(240) + 0.001 * turns + 0.005 * kind)
    times[draw.choice(240, 12)] *= 3
    found, nothing = changes(times)
    assert -0.2 < found.low < 0.5 < found.high < 1.6 and nothing.low < 0 < nothing.high
    assert below(found.low, found.high, 1.6) is True and below(found.low, found.high, -0.3) is False
    assert median_of([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]) == (3.5, 1.0, 6.0), "the least that 95 % can be told from"
    assert changes([1.0, 2.0, 2.0, 1.0])[0].high == float("inf")


def test_what_cannot_be_told_is_said_and_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    assert below(-1.0, 2.0, 1.0) == CANNOT_BE_TOLD
    assert show("t", [Row("step time", "+0.5 %", "< +1 %", below(-1.0, 2.0, 1.0))])
    assert "CANNOT BE TOLD" in (said := capsys.readouterr().out) and "Neither kept nor broken" in said
    assert not show("t", [Row("step time", "+2 %", "< +1 %", below(1.5, 2.5, 1.0))])


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="one processor")
def test_processes_are_kept_apart_for_as_long_as_asked() -> None:
    everywhere = os.sched_getaffinity(0)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        with apart(process.pid, []):
            own, others = os.sched_getaffinity(process.pid), os.sched_getaffinity(0)
            assert len(own) == 1 and own | others == everywhere and not own & others
        assert os.sched_getaffinity(process.pid) == os.sched_getaffinity(0) == everywhere
        process.communicate(b"\n")
