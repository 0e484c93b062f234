"""A full disk delays what is recorded and damages nothing. The disk is a limit on the size of the process's files."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.seal import seal

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
        assert reader.info().status == "interrupted"
        steps = reader.steps()["step"].tolist()
        assert len(steps) >= 100 and steps == list(range(1, len(steps) + 1))
    assert seal(path)
    check_integrity(path)
    with RunReader(path) as reader:
        assert reader.steps()["step"].tolist() == steps
        assert reader.rollup(1)["last_step"].tolist() == list(range(16, len(steps) + 1, 16))
