"""`kill -9` of worker, service and client, at any moment, with real workers: what ends, what goes on, what is kept.

The moments are random, seeded by the test's name. A worker that imports torch takes seconds: what can be killed after
one another is.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.helpers.network import assert_no_network
from tests.helpers.services import Listening, family, gone, has_steps, info, steps, until
from tfx_engine.client import control
from tfx_engine.protocol.launch import child_environment
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.seal import seal

TINY = {"model": {"width": 16, "layers": 1, "heads": 2, "context": 16},
        "run": {"batch": 2, "measure_steps": 5, "warmup_steps": 1, "device": "cpu", "threads": 1}}
ENDS_WITHIN_S = 5.0
MOMENTS = 2  # of each kind of kill


def tiny(name: str, steps: int = 5) -> dict[str, Any]:
    """A configuration that takes a fraction of a second, or as long as it has steps."""
    return {**TINY, "name": name, "run": {**TINY["run"], "measure_steps": steps}}


def endless(name: str = "endless") -> dict[str, Any]:
    """One that nobody waits for."""
    return tiny(name, 10**8)


@pytest.fixture
def moments(request: pytest.FixtureRequest) -> list[float]:
    """Seconds after which something is killed: from while the worker still builds to well into the steps."""
    draw = random.Random(request.node.name)
    return [draw.uniform(0.0, 1.5) for _ in range(MOMENTS)]


@pytest.fixture
def moment(moments: list[float]) -> float:
    """One of them."""
    return moments[0]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Path]:
    """A store; whatever process still works for this test when it ends is killed."""
    yield tmp_path / "store"
    for process in psutil.Process().children(recursive=True):
        process.kill()


def assert_intact(run: Path, seen: int) -> None:
    """Every step that was ever seen in the file is there, without a gap, and SQLite finds no fault in it."""
    found = steps(run)
    assert found == list(range(1, len(found) + 1)) and len(found) >= seen
    with closing(sqlite3.connect(run)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_killed_worker_costs_its_own_run_alone(store: Path, moments: list[float]) -> None:
    with Listening(store, on_disconnect="stop", warm=False) as client:
        *victims, other = client.submit([*(endless(f"victim {i}") for i in range(len(moments))), tiny("other")])
        for victim, moment in zip(victims, moments, strict=True):
            worker = client.wait_for("started", victim).detail["pid"]
            time.sleep(moment)
            seen = len(steps(victim))
            os.kill(worker, signal.SIGKILL)
            ended = client.wait_for("ended", victim).detail
            assert ended["status"] == "interrupted" and "SIGKILL" in ended["reason"] and "memory" in ended["reason"]
            assert info(victim).recorded_status == "interrupted" and info(victim).reason == ended["reason"]
            assert_intact(victim, seen)
        assert client.wait_for("ended", other).detail["status"] == "finished"
        assert_intact(other, 6)


def test_a_killed_service_leaves_no_orphan_and_its_queue_to_the_next(store: Path, moments: list[float]) -> None:
    client = Listening(store, warm=False)
    runs = client.submit([*(endless(f"victim {i}") for i in range(len(moments))), tiny("last")])
    for number, moment in enumerate(moments):
        victim, *queued = runs[number:]
        client.wait_for("started", victim)
        time.sleep(moment)
        processes, seen = family(client.pid or 0), len(steps(victim))
        assert len(processes) >= 2
        os.kill(client.pid or 0, signal.SIGKILL)
        assert gone(processes, ENDS_WITHIN_S)
        assert client.wait_for("gone").detail["exit_code"] == -signal.SIGKILL
        assert info(victim).status in ("interrupted", "queued") and not is_locked(victim)
        assert {info(run).status for run in queued} == {"queued"}
        seal(victim)
        assert_intact(victim, seen)
        client.close()
        client = Listening(store, warm=False)  # the heir
        client.start()
        if info(victim).status == "queued":  # killed before the worker took it: then it is run now
            control(victim, "stop")
    client.wait_for("ended", runs[-1], status="finished")
    assert_intact(runs[-1], 6)
    client.close()


WINDOW = """
import sys, json, time
from tfx_engine.client import Client
store, on_disconnect, configs = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
client = Client(store, on_disconnect, warm=False)
runs = client.submit(configs)
print(json.dumps([client.pid, *map(str, runs)]), flush=True)
time.sleep(600)
"""


def start_program(
    store: Path, on_disconnect: str, *configs: dict[str, Any]
) -> tuple[subprocess.Popen[str], int, list[Path]]:
    """Another program that submits runs and waits; the process, the pid of its service, its runs."""
    program = subprocess.Popen([sys.executable, "-c", WINDOW, str(store), on_disconnect, json.dumps(configs)],
                               stdout=subprocess.PIPE, text=True, env=child_environment())
    assert program.stdout is not None
    service, *runs = json.loads(program.stdout.readline())
    return program, service, [Path(run) for run in runs]


@pytest.mark.parametrize("queued", [(), ("second",)], ids=["one run", "one waits"])
def test_a_killed_window_does_not_stop_its_runs(store: Path, moment: float, queued: tuple[str, ...]) -> None:
    program, service, runs = start_program(store, "finish", tiny("first", 150), *map(tiny, queued))
    with program:
        time.sleep(moment)
        processes = family(service)
        program.kill()
    assert gone(processes, 60)  # once the queue is empty
    assert {info(run).status for run in runs} == {"finished"}
    assert_intact(runs[0], 151)
    for run in runs[1:]:
        assert_intact(run, 6)


def test_nobody_listens_on_any_port_and_the_next_window_finds_the_runs_of_a_killed_one_live(store: Path) -> None:
    program, service, (running, queued) = start_program(store, "finish", endless(), tiny("second"))
    with program:
        until(lambda: has_steps(running))
        assert assert_no_network(service) == 2, "service and worker"
        program.kill()
    processes = family(service)
    with Listening(store, warm=False) as heir:
        heir.hello()
        assert info(running).status == "running" and info(queued).status == "queued"
        seen = len(steps(running))
        until(lambda: has_steps(running, seen + 10))
        control(running, "stop")  # any window controls any run
        until(lambda: info(running).status == "stopped")
        until(lambda: info(queued).status == "finished")  # by the old service, which still holds it
    assert gone(processes)


@pytest.mark.parametrize("attempt", range(MOMENTS))
def test_a_killed_command_takes_everything_with_it(store: Path, moment: float, attempt: int) -> None:
    program, service, (running, queued) = start_program(store, "stop", endless(), tiny("second"))
    with program:
        time.sleep(moment)
        processes, seen = family(service), len(steps(running))
        program.kill()
    assert gone(processes, ENDS_WITHIN_S)
    assert info(running).recorded_status == "interrupted" and info(running).reason
    assert info(queued).recorded_status == "interrupted"
    assert_intact(running, seen)


def test_a_run_is_taken_by_the_worker_that_checked_it(store: Path) -> None:
    with Listening(store, on_disconnect="stop", warm=True) as client:
        warm = client.wait_for("warm", state="ready").detail
        assert client.validate(tiny("a")) == () and warm["torch"]
        (run,) = client.submit([tiny("a")])
        assert client.wait_for("started", run).detail["pid"] == warm["pid"]
        client.wait_for("ended", run, status="finished")
