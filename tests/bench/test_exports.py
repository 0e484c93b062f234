"""What exports take of this process, and how large they are; a program is written by a process of its own.

    python -m pytest tests/bench/test_exports.py
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.helpers.synthetic_run import write_run
from tests.helpers.worker import queue_run
from tfx_engine.worker.run import execute
from tfx_workbench.exporting.bundle_file import Bundle
from tfx_workbench.exporting.formats import Ask, export

STEPS = 20_000
MOST_US_A_STEP = 1000.0  # of this process, for every table of a run


def timed(name: str, ask: Ask) -> tuple[float, int]:
    """(seconds of this process, bytes) of an export."""
    begun_s = time.process_time()
    path = Path(export(name, ask)["path"])
    seconds = time.process_time() - begun_s
    files = [path] if path.is_file() else list(path.iterdir())
    return seconds, sum(file.stat().st_size for file in files)


def test_exports(tmp_path: Path) -> None:
    long = write_run(tmp_path / "long.tfx", steps=STEPS, layers=4, heads=2, context=16, width=16)
    real = queue_run(tmp_path, run={"measure_steps": 20})
    assert execute(real).status == "finished"
    print(f"\n{'format':12} {'run':>22} {'seconds':>8} {'MiB':>8}")
    rows = [("csv", long, "steps"), ("csv", long, "all"), ("json", long, "steps"), ("tensorboard", long, "steps"),
            ("script", real, "steps"), ("bundle", real, "steps")]
    for number, (name, run, table) in enumerate(rows):
        seconds, size = timed(name, Ask(run, str(tmp_path / f"{number}"), table=table))
        words = f"{STEPS} steps, {table}" if run == long else "20 steps"
        print(f"{name:12} {words:>22} {seconds:8.2f} {size / 2**20:8.2f}")
        assert run == real or seconds / STEPS * 1e6 < MOST_US_A_STEP
    begun_s = time.process_time()
    Bundle(tmp_path / "5").close()
    print(f"{'verified':12} {'':>22} {time.process_time() - begun_s:8.2f}")


def test_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="pyarrow, an extra, is not installed")
    long = write_run(tmp_path / "long.tfx", steps=STEPS, layers=4, heads=2, context=16, width=16)
    seconds, size = timed("parquet", Ask(long, str(tmp_path / "all"), table="all"))
    print(f"\nparquet, every table of {STEPS} steps: {seconds:.2f} s, {size / 2**20:.2f} MiB")
