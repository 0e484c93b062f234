"""One process holds a run file, as long as it lives and not longer."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import warnings

import pytest

from tfx_engine.runfile import lock as lock_module
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.lock import RunLock, holder, is_locked
from tfx_engine.runfile.processes import boot_id, process_identity, process_started
from tfx_engine.runfile.store import beside

HOLD = """
import sys, time
from tfx_engine.runfile.lock import RunLock
lock = RunLock(sys.argv[1])
print("held", flush=True)
time.sleep(60)
"""
HEIR = """
import sys, time
from tfx_engine.runfile.lock import RunLock
input()
lock = RunLock(sys.argv[1])
print("held", flush=True)
time.sleep(60)
"""
COUNT = """
import sys, time
from pathlib import Path
from tfx_engine.runfile import lock as lock_module
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.lock import RunLock, is_locked
counter = Path(sys.argv[2])
for _ in range(25):
    while True:
        try:
            with RunLock(sys.argv[1]):
                count = int(counter.read_text())
                time.sleep(0.001)
                counter.write_text(str(count + 1))
            break
        except RunFileError as error:
            assert error.problem.code == "in-use"
    is_locked(sys.argv[1])
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.tfx"


@pytest.fixture
def other(path, repo):
    """Another process that holds the lock."""
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, cwd=repo, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_lock_says_who_holds_it_and_leaves_nothing_behind(path):
    assert not is_locked(path)
    with RunLock(path) as lock:
        assert is_locked(path) and lock.is_held
        said = holder(path)
        assert (said["pid"], said["boot_id"], said["host"]) == (os.getpid(), boot_id(), socket.gethostname())
        assert said["started"] == process_started(os.getpid())
    lock.release()
    assert not is_locked(path) and not lock.is_held and holder(path) == {}
    assert list(path.parent.iterdir()) == []


def test_nobody_else_gets_it_until_its_holder_is_killed(path, other):
    assert is_locked(path)
    with pytest.raises(RunFileError) as refused:
        RunLock(path)
    assert refused.value.problem.code == "in-use" and f"process {other.pid}" in refused.value.problem.message
    other.send_signal(signal.SIGKILL)
    other.wait()
    assert not is_locked(path) and beside(path, ".lock").exists()
    with RunLock(path):
        assert holder(path)["pid"] == os.getpid()


def test_asking_does_not_disturb_whoever_wants_it(path):
    for _ in range(50):
        with RunLock(path):
            assert is_locked(path)
        assert not is_locked(path)


def test_a_lock_file_that_is_rubbish_is_no_lock(path):
    beside(path, ".lock").write_bytes(b"\xff{")
    assert not is_locked(path) and holder(path) == {}
    with RunLock(path):
        assert holder(path)["pid"] == os.getpid()


def test_a_lock_file_that_is_taken_away_between_opening_and_locking_it_is_not_believed(path, monkeypatch):
    first = RunLock(path)
    real_lock = lock_module._lock

    def release_first(descriptor, shared=False):
        first.release()
        return real_lock(descriptor, shared)

    monkeypatch.setattr(lock_module, "_lock", release_first)
    with RunLock(path):
        monkeypatch.undo()
        assert is_locked(path)


def test_a_lock_that_is_handed_over_is_for_its_heir_alone(path, repo):
    command = [sys.executable, "-c", HEIR, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=repo, stdin=pipe, stdout=pipe, text=True) as heir:
        try:
            lock = RunLock(path)
            lock.hand_over(heir.pid)
            assert not lock.is_held and is_locked(path)
            with pytest.raises(RunFileError) as refused:
                RunLock(path)
            assert refused.value.problem.code == "in-use"
            heir.stdin.write("take it\n")
            heir.stdin.flush()
            assert heir.stdout.readline() == "held\n" and holder(path)["pid"] == heir.pid
        finally:
            heir.kill()
    with RunLock(path):
        assert holder(path)["pid"] == os.getpid()


@pytest.mark.parametrize("change", [
    {"pid": "nobody"}, {"pid": 2**22 + 1}, {"started": 5.0}, {"started": None}, {"boot_id": "another"},
    {"host": "elsewhere"},
])
def test_a_promise_to_nobody_who_lives_here_is_none(path, change):
    heir = {**process_identity(), "pid": os.getppid(), "started": process_started(os.getppid())}
    file = beside(path, ".lock")
    file.write_text(json.dumps({"heir": heir}))
    assert is_locked(path), "as it is, it is one"
    file.write_text(json.dumps({"heir": {**heir, **change}}))
    if "host" in change:
        assert is_locked(path), "who can know whether it lives?"
        os.utime(file, (time.time() - 61, time.time() - 61))
    assert not is_locked(path)
    with RunLock(path):
        assert is_locked(path)


def test_of_many_who_want_it_each_gets_it_alone(path, tmp_path, repo):
    counter = tmp_path / "counter"
    counter.write_text("0")
    command = [sys.executable, "-c", COUNT, str(path), str(counter)]
    processes = [subprocess.Popen(command, cwd=repo) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert counter.read_text() == "100"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_child_does_not_keep_it_from_becoming_free(path):
    lock = RunLock(path)
    ready, go = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.12 on, where there are threads
        child = os.fork()
    if child == 0:
        os.read(ready, 1)
        os._exit(int(lock.is_held))
    try:
        os.close(os.dup(lock._descriptor))  # the parent's own descriptor is as it was
        assert is_locked(path)
        os.close(lock._descriptor)  # as when the parent is killed
        lock._descriptor = -1
        deadline = time.monotonic() + 5
        while is_locked(path) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert not is_locked(path)
    finally:
        os.write(go, b"x")
        assert os.waitpid(child, 0)[1] == 0
        os.close(ready)
        os.close(go)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
def test_who_may_only_read_the_lock_file_sees_the_lock_too(path, monkeypatch):
    real_open = os.open

    def read_only(file, flags, *mode):
        if flags & os.O_RDWR:
            raise PermissionError(13, "Permission denied")
        return real_open(file, flags, *mode)

    with RunLock(path):
        monkeypatch.setattr(os, "open", read_only)
        assert is_locked(path)
    assert not is_locked(path)
