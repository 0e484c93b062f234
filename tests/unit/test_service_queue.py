"""The queue: what is given to a worker is nobody else's, and one bad file keeps no other from being found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.synthetic_run import make_config
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.seal import seal
from tfx_engine.service import runs
from tfx_engine.service.runs import Queued, RunQueue, adopt, find_orphans


@pytest.fixture
def queue(tmp_path: Path) -> RunQueue:
    made = RunQueue()
    made.store = tmp_path
    made.add([made.create(make_config(), "", "")])
    return made


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives and takes no lock."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


def test_a_run_on_its_way_to_a_worker_is_not_taken_for_an_orphan(
    queue: RunQueue, worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    path = queue.take(worker.pid)
    assert find_orphans(tmp_path) == ([], [])
    assert is_locked(path) and not seal(path)
    worker.kill()
    worker.wait()
    found, _ = find_orphans(tmp_path)
    assert [run.path for run in found] == [path], "its worker died on the way"
    found[0].lock.release()


def test_a_file_that_cannot_be_judged_is_said_and_the_others_are_found(
    queue: RunQueue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue.add([queue.create(make_config(), "", "")])
    bad, good = queue.paths
    queue.release()

    def adopt_or_break(path: Path) -> Queued | None:
        if path == bad:
            raise ZeroDivisionError("no such luck")
        return adopt(path)

    monkeypatch.setattr(runs, "adopt", adopt_or_break)
    found, problems = find_orphans(tmp_path)
    assert [run.path for run in found] == [good] and "no such luck" in problems[0].sentence()
    found[0].lock.release()
