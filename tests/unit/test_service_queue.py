"""The queue: what is given to a worker is nobody's orphan, and one bad file keeps no other from being found."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.synthetic_run import make_config
from tfx_engine.service.runs import RunQueue, adopt, find_orphans


@pytest.fixture
def queue(tmp_path: Path) -> RunQueue:
    made = RunQueue()
    made.store = tmp_path
    made.add([made.create(make_config(), "", "")])
    return made


def test_a_run_on_its_way_to_a_worker_is_not_taken_for_an_orphan(queue: RunQueue, tmp_path: Path) -> None:
    path = queue.take()
    assert find_orphans(tmp_path, queue._adopt) == ([], [])
    found, _ = find_orphans(tmp_path, adopt)
    assert [run.path for run in found] == [path], "it was free, so only the queue's own memory kept it"
    found[0].lock.release()


def test_a_file_that_cannot_be_judged_is_said_and_the_others_are_found(queue: RunQueue, tmp_path: Path) -> None:
    queue.add([queue.create(make_config(), "", "")])
    bad, good = queue.paths
    queue.release()

    def adopt_or_break(path: Path) -> object:
        if path == bad:
            raise ZeroDivisionError("no such luck")
        return adopt(path)

    found, problems = find_orphans(tmp_path, adopt_or_break)  # type: ignore[arg-type]
    assert [run.path for run in found] == [good] and "no such luck" in problems[0].sentence()
    found[0].lock.release()
