"""How long until the window is up and usable: from the start of the process until its event loop has nothing to do.

    python -m pytest tests/bench/test_window_start.py -s
"""

from __future__ import annotations

import statistics

import pytest

from tests.bench.windows import has_x_server, window_says, x_server

LIMIT_S = 1.0
STARTS = 9
COLUMNS = {"painted_s": "first paint", "begun_s": "panels there", "usable_s": "usable", "cpu_s": "processor time"}


def start_many(home, display):
    window_says(home, "start_up", display=display)  # byte code, file cache, settings
    return [window_says(home, "start_up", display=display)[0] for _ in range(STARTS)]


def show(title, starts):
    print(f"\n{title}\n{'start':>8}" + "".join(f"{name:>16}" for name in COLUMNS.values()))
    for number, start in enumerate(starts, start=1):
        print(f"{number:>8}" + "".join(f"{start[key]:>14.3f} s" for key in COLUMNS))
    medians = {key: statistics.median(start[key] for start in starts) for key in COLUMNS}
    rss = statistics.median(start["rss_bytes"] for start in starts) / 2**20
    print(f"{'median':>8}" + "".join(f"{medians[key]:>14.3f} s" for key in COLUMNS) + f"   {rss:.0f} MiB")
    return medians["usable_s"]


def test_the_window_is_up_and_usable_within_a_second_offscreen(tmp_path):
    assert show("window, offscreen", start_many(tmp_path, "")) <= LIMIT_S


@pytest.mark.skipif(not has_x_server(), reason="Xvfb is not installed")
def test_the_window_is_up_and_usable_within_a_second_on_an_x_server(tmp_path):
    with x_server() as display:
        assert show("window, X server", start_many(tmp_path, display)) <= LIMIT_S
