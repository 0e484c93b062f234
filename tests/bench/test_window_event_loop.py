"""What the window makes anybody wait: its event loop and its memory under four live runs in eight panels.

    python -m pytest tests/bench/test_window_event_loop.py

A thread posts an event every ten milliseconds and notes when the loop took it. Each run is written at 250 steps a
second by a process of its own; all four are ticked, and all eight panels are in sight. `waiting`: the share of the time
in which the window could have gone on but other processes had the processor.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys

import pytest

from tests.bench.windows import ROOT, has_x_server, window_says, x_server

LIMIT_MS = 50.0
RUNS, RATE = 4, 250
STRETCHES_S = [20] * 5
FULL_AFTER = 1  # stretches until everything that holds the newest steps is full, and memory is compared
GROWTH_LIMIT_BYTES_PER_STEP = 100.0  # a step that was kept would take 300 and more; one of a rollup takes 20


@contextlib.contextmanager
def writers(store):
    """Processes that write live runs into the library for as long as the block lasts."""
    store.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        for number in range(RUNS):
            words = [str(store / f"run-{number}.tfx"), f"run {number}", str(number), str(RATE)]
            argv = [sys.executable, "-m", "tests.bench.live_writer", *words]
            process = stack.enter_context(subprocess.Popen(argv, cwd=ROOT))
            stack.callback(process.kill)
        yield


def show(title, stretches):
    """Print every stretch, and how often each panel was drawn in the last."""
    print(f"\n{title}\n{'seconds':>8}{'steps/s':>9}{'steps so far':>14}{'p50':>11}{'p99':>11}{'longest':>11}"
          f"{'waiting':>9}{'memory':>14}")
    seconds = 0
    for said in stretches:
        seconds += said["seconds"]
        waits = "".join(f"{said[key]:>8.1f} ms" for key in ("median_ms", "p99_ms", "max_ms"))
        print(f"{seconds:>8}{said['steps_per_s']:>9.0f}{said['steps']:>14}{waits}{said['waited_percent']:>7.0f} %"
              f"{said['rss_bytes'] / 2**20:>10.1f} MiB")
    for name, (count, median_ms, max_ms) in stretches[-1]["drawn"].items():
        rate = count / stretches[-1]["seconds"]
        print(f"{name:>16}{rate:>8.1f} /s{median_ms:>9.1f} ms{max_ms:>9.1f} ms at the longest")


def growth_per_step(stretches):
    """By how many bytes memory grew with each step, once everything that holds the newest ones is full."""
    first, last = stretches[FULL_AFTER], stretches[-1]
    growth = (last["rss_bytes"] - first["rss_bytes"]) / (last["steps"] - first["steps"])
    print(f"memory grows by {growth:.0f} bytes a step")
    return growth


def check(home, title, display=""):
    with writers(home / "runs"):
        stretches = window_says(home, "live_runs", display=display, runs=RUNS, stretches_s=STRETCHES_S)
    show(title, stretches)
    assert all(said["seen"] == 8 for said in stretches)
    assert growth_per_step(stretches) <= GROWTH_LIMIT_BYTES_PER_STEP
    assert max(said["p99_ms"] for said in stretches) <= LIMIT_MS


def test_four_live_runs_in_eight_panels_offscreen(tmp_path):
    check(tmp_path, "four runs at 250 steps/s, eight panels, offscreen")


@pytest.mark.skipif(not has_x_server(), reason="Xvfb is not installed")
def test_four_live_runs_in_eight_panels_on_an_x_server(tmp_path):
    with x_server() as display:
        check(tmp_path, "four runs at 250 steps/s, eight panels, X server", display)
