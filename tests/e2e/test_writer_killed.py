"""A writer killed at any moment: every row that it was told is committed is there, and the file is sound."""

from __future__ import annotations

import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rollup import FACTOR
from tfx_engine.runfile.seal import seal

WRITE = """
import sys
import numpy as np
from tests.helpers.synthetic_run import make_config
from tfx_engine.runfile.create import create
from tfx_engine.runfile.writer import RunWriter
create(sys.argv[1], make_config(), "")
writer = RunWriter(sys.argv[1])
writer.state("running")
print(0, flush=True)
step = 0
while True:
    for _ in range(37):
        step += 1
        writer.step(step=step, phase="measure", loss=float(step), layer_grad_norm=np.full(8, step, np.float32))
    writer.attention(step, step, None, [np.full((2, 16, 16), 0.5, np.float16)])
    writer.flush()
    print(step, flush=True)
"""
SEED = 7


@pytest.mark.parametrize("attempt", range(4))
def test_every_acknowledged_row_survives_a_kill(tmp_path, repo, attempt):
    path = tmp_path / "run.tfx"
    delay_s = random.Random(SEED + attempt).uniform(0.0, 0.6)
    command = [sys.executable, "-c", WRITE, str(path)]
    with subprocess.Popen(command, cwd=repo, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "0\n"
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().split("\n")
    acknowledged = int(([line for line in lines[:-1] if line] or ["0"])[-1])

    if attempt % 2:  # as it is found; the others are sealed first
        check(path, acknowledged, "interrupted", "running")
    assert seal(path)
    check(path, acknowledged, "interrupted", "interrupted")
    assert [file.name for file in tmp_path.iterdir()] == ["run.tfx"]
    alone = tmp_path / "alone.tfx"
    shutil.copy(path, alone)
    with closing(sqlite3.connect(alone)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def check(path, acknowledged, status, recorded):
    with RunReader(path) as reader, reader.snapshot():
        info = reader.info()
        assert (info.status, info.recorded_status, info.is_locked) == (status, recorded, False)
        losses = reader.steps()["loss"].tolist()
        assert len(losses) >= acknowledged and losses == list(range(1, len(losses) + 1))
        assert len(reader.attention_captures()) >= acknowledged // 37
        for level in (1, 2):
            rows = reader.rollup(level)
            assert rows["last_step"].tolist() == list(range(FACTOR**level, len(losses) + 1, FACTOR**level))
            assert [array[0][0] for array in rows["layer_grad_norm"]] == rows["last_step"].tolist()
