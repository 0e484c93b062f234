"""A full disk delays what is recorded and damages nothing. The disk is a limit on the size of the process's files."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from tests.helpers.synthetic_run import make_config
from tfx_engine.runfile import reserve
from tfx_engine.runfile.create import create
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.seal import seal
from tfx_engine.runfile.store import beside
from tfx_engine.runfile.writer import RunWriter

resource = pytest.importorskip("resource", reason="sizes of files cannot be limited here")

WRITE = """
import json, resource, sys, time
from tests.helpers.synthetic_run import make_config
from tfx_engine.runfile import writer as module
from tfx_engine.runfile.create import create
from tfx_engine.runfile.errors import RunFileError

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

module.STATE_PATIENCE_S = 30.0  # a busy machine is no fault
path, space_comes_back = sys.argv[1], sys.argv[2] == "back"
create(path, make_config(), "")
news = []
writer = module.RunWriter(path, on_error=news.append)
writer.state("running")
step = 0
def write(count):
    global step
    for _ in range(count):
        step += 1
        writer.step(step=step, phase="measure", loss=1.0)
write(100)
writer.flush()
limit(400_000)
start = time.monotonic()
while writer.error is None and time.monotonic() - start < 20:
    write(500)
    time.sleep(0.02)
found = {"error": writer.error and writer.error.problem.code, "news": len(news)}
start = time.monotonic()
write(5000)
found["blocked_s"] = time.monotonic() - start
module.STATE_PATIENCE_S = 1.0
try:
    writer.state("finished")
except RunFileError as error:
    found["state"] = error.problem.code
module.STATE_PATIENCE_S = 30.0 if space_comes_back else 1.0
if space_comes_back:
    limit(resource.RLIM_INFINITY)
    start = time.monotonic()
    writer.flush()
    found |= {"error_then": writer.error and writer.error.problem.code, "recovered_s": time.monotonic() - start}
try:
    writer.close()
except RunFileError as error:
    found["close"] = error.problem.sentence()
print(json.dumps({**found, "steps": step}))
"""


def write(path, repo, what):
    command = [sys.executable, "-c", WRITE, str(path), what]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def check_integrity(path):
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_recording_goes_on_when_there_is_space_again_and_nothing_is_lost(tmp_path, repo):
    path = tmp_path / "run.tfx"
    found = write(path, repo, "back")
    assert found["error"] == found["state"] == "write-failed" and found["news"] >= 1
    assert found["blocked_s"] < 2, "the training loop must not wait for the disk"
    assert found["error_then"] is None and found["recovered_s"] < 5 and "close" not in found
    check_integrity(path)
    with RunReader(path) as reader:
        assert reader.info().status == "finished"
        steps = reader.steps()["step"]
        assert steps.tolist() == list(range(1, found["steps"] + 1))
        assert reader.rollup(1)["last_step"].tolist() == list(range(16, found["steps"] + 1, 16))
        assert "write-resumed" in [event.code for event in reader.events()]
    assert [file.name for file in tmp_path.iterdir()] == ["run.tfx"]


def test_a_disk_that_stays_full_leaves_all_that_was_committed(tmp_path, repo):
    path = tmp_path / "run.tfx"
    found = write(path, repo, "stays")
    assert "cannot be written" in found["close"]
    with RunReader(path) as reader:
        # Its last words may just have fitted in; they are then that it failed, as not all was written.
        assert reader.info().status in ("failed", "interrupted")
        steps = reader.steps()["step"].tolist()
        assert len(steps) >= 100 and steps == list(range(1, len(steps) + 1))
    assert seal(path)
    check_integrity(path)
    with RunReader(path) as reader:
        assert reader.steps()["step"].tolist() == steps
        assert reader.rollup(1)["last_step"].tolist() == list(range(16, len(steps) + 1, 16))


STOP = """
import json, resource, sys, threading, time
from tests.helpers.synthetic_run import make_config
from tfx_engine.runfile import writer as module
from tfx_engine.runfile.buffer import Buffer
from tfx_engine.runfile.create import create
from tfx_engine.runfile.errors import RunFileError

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    return True

module.STATE_PATIENCE_S = 1e6  # whoever is not in a hurry never comes back
path, told_to_end = sys.argv[1], threading.Event()
create(path, make_config(), "")
module.reserve.give_up = lambda file: limit(resource.RLIM_INFINITY)
writer = module.RunWriter(path, buffer=Buffer(300_000), hurried=told_to_end.is_set)
writer.state("running")
step = 1
writer.step(step=step, phase="measure", loss=1.0)
writer.flush()
limit(200_000)
def train():
    global step
    while not told_to_end.is_set():
        step += 1
        writer.step(step=step, phase="measure", loss=1.0)
training = threading.Thread(target=train)
training.start()
while writer.error is None or writer._buffer._bytes < 298_000:  # now it waits for room
    time.sleep(0.02)
told_to_end.set()
training.join()
found = {}
for name, act in (("state", lambda: writer.state(sys.argv[2], "On request.")), ("close", writer.close)):
    try:
        act()
    except RunFileError as error:
        found[name] = error.problem.code
print(json.dumps({**found, "steps": step}))
"""


@pytest.mark.parametrize(("said", "recorded"), [("stopped", "stopped"), ("finished", "failed")])
def test_a_run_told_to_end_on_a_full_disk_waits_for_nothing_and_says_how_it_ended(tmp_path, repo, said, recorded):
    path = tmp_path / "run.tfx"
    command = [sys.executable, "-c", STOP, str(path), said]
    done = subprocess.run(command, cwd=repo, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["state"] == found["close"] == "write-failed"
    assert seal(path)
    check_integrity(path)
    with RunReader(path) as reader:
        info = reader.info()
        assert info.status == recorded
        assert info.reason.startswith("On request. What was measured last is not in this file, which cannot be written")
        steps = reader.steps()["step"].tolist()
        assert 0 < len(steps) < found["steps"] and steps == list(range(1, len(steps) + 1))


def test_room_is_kept_as_long_as_a_run_is_written_and_given_back_with_it(tmp_path):
    path = tmp_path / "run.tfx"
    create(path, make_config(), "")
    with RunWriter(path) as writer:
        writer.state("running")
        assert beside(path, ".reserve").stat().st_size == reserve.SIZE
    assert [file.name for file in tmp_path.iterdir()] == ["run.tfx"]
    reserve.make(tmp_path / "nowhere" / "run.tfx")  # no room is no fault
    assert not reserve.give_up(tmp_path / "nowhere" / "run.tfx")


def test_a_killed_writers_room_is_given_back_when_its_file_is_sealed(tmp_path):
    path = tmp_path / "run.tfx"
    create(path, make_config(), "")
    with RunWriter(path) as writer:
        writer.state("running")
        shutil.copytree(tmp_path, tmp_path / "killed")
    killed = tmp_path / "killed" / "run.tfx"
    assert beside(killed, ".reserve").exists() and seal(killed)
    assert [file.name for file in killed.parent.iterdir()] == ["run.tfx"]
