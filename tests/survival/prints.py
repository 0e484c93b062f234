"""A megabyte of random bytes on the worker's stdout from C, within a training step, and what must come of it: nothing.

    python -m tests.survival.prints

Real workers, two runs in one service. Half lines, NULs, lines that look like our own protocol, and text from C code
that keeps Python from running meanwhile are among it; see `noise`. Then a worker that prints in every step while the
service is stopped: training must not wait for anybody to read.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.helpers.services import Listening, has_steps, steps
from tests.survival.noise import MARKS, MEGABYTE
from tests.survival.table import Row, mib, show
from tests.survival.windows import rss_bytes, stopped
from tfx_engine.protocol.messages import Reply
from tfx_engine.runfile.reader import RunReader

TINY: dict[str, Any] = {
    "model": {"width": 16, "layers": 1, "heads": 2, "context": 16},
    "run": {"batch": 2, "warmup_steps": 1, "measure_steps": 8, "device": "cpu", "threads": 1, "audit": False,
            "profile": False},
}
STOP_S = 10.0
PATIENCE_S = 30.0  # for a step
LINES = 40  # of 63 bytes that each step prints beside a stopped service


def noisy_runs(store: Path, worker: str, names: tuple[str, ...] = ("first", "second")) -> list[Row]:
    """Two runs whose workers make the noise, and what the service and their files say."""
    os.environ["TFX_WORKER_MODULE"] = worker
    with Listening(store, on_disconnect="stop", warm=False) as client:
        runs = client.submit([{**TINY, "name": name} for name in names])
        ended = [client.wait_for("ended", run).detail["status"] for run in runs]
        client.hello(10.0)
        replies: list[Reply] = []
        client.ping(replies.append)
        client.queue()
        unreadable = [n for n in client.notices if n.kind == "log" and n.detail.get("stream") == "engine"]
        problems = [n for n in client.notices if n.kind == "problem"]
    logs = [_log(run) for run in runs]
    found = [sum(any(mark in line for line in log) for mark in MARKS) for log in logs]
    characters = [sum(map(len, log)) for log in logs]
    return [
        Row("how the runs ended", ", ".join(ended), "finished", set(ended) == {"finished"}),
        Row("the service answers afterwards", "yes" if replies and replies[0].ok else "no", "yes",
            bool(replies and replies[0].ok)),
        Row("lines that the client could not read", str(len(unreadable)), "0", not unreadable),
        Row("problems", str(len(problems)), "0", not problems),
        Row(f"of {len(MARKS)} marked lines in the logs", ", ".join(map(str, found)), "all",
            all(count == len(MARKS) for count in found)),
        Row("characters in the logs", ", ".join(f"{n:,}" for n in characters), f"> {MEGABYTE // 2:,}",
            min(characters) > MEGABYTE // 2),
        Row("NULs in the logs", str(sum("\0" in line for log in logs for line in log)), "0",
            not any("\0" in line for log in logs for line in log)),
    ]


def _log(run: Path) -> list[str]:
    lines: list[str] = []
    with closing(RunReader(run)) as reader:
        after = 0
        while more := reader.logs(after, 1000):
            lines += [line.text for line in more]
            after = more[-1].seq
    return lines


def beside_a_stopped_service(store: Path, worker: str, config: dict[str, Any], seconds: float) -> list[Row]:
    """A worker that prints and prints while nobody reads it, then a client that does not read the service."""
    os.environ["TFX_WORKER_MODULE"] = worker
    with Listening(store, on_disconnect="stop", warm=False) as client:
        (run,) = client.submit([config])
        client.wait_for("started", run)
        while not has_steps(run, 3):
            time.sleep(0.05)
        assert client.pid is not None
        rss = rss_bytes(client.pid)
        with stopped(client.pid):
            time.sleep(seconds / 2)  # in which any pipe is full
            half = len(steps(run))
            begun_s = time.monotonic()
            time.sleep(seconds / 2)
            while not (meanwhile := len(steps(run)) - half) and time.monotonic() - begun_s < PATIENCE_S:
                time.sleep(0.05)  # a machine that is busy
        time.sleep(1.0)
        grown = rss_bytes(client.pid) - rss
        client.shutdown(stop=True)
        client.wait(30.0)
    printed = sum(len(line) + 1 for line in _log(run))
    return [
        Row("steps in the second half of that time", str(meanwhile), "> 0", meanwhile > 0),
        Row("printed and kept in all", mib(printed)),
        Row("the service's memory grew by", mib(grown), "< 8 MiB", grown < 8 * 2**20),
    ]


def main() -> int:
    """See the module's docstring."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "runs"
        good = show("1 MB of random bytes from C in a training step",
                    noisy_runs(store, "tests.survival.noisy_worker"))
        os.environ |= {"TFX_NOISE_AT": "", "TFX_NOISE_LINES": str(LINES)}
        endless = {**TINY, "name": "endless", "run": {**TINY["run"], "measure_steps": 10**8}}
        good &= show(f"a worker that prints in every step, its service stopped for {STOP_S:g} s",
                     beside_a_stopped_service(store, "tests.survival.noisy_worker", endless, STOP_S))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
