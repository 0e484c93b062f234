"""Opening a finished run of a million steps: how long until every panel shows it, and what the window makes one wait.

    python -m pytest tests/bench/test_window_long_run.py

Writing the file takes about a minute; it is made by the real writer, from the made-up numbers of a thousand steps.
"""

from __future__ import annotations

import itertools
import time

from tests.bench.windows import window_says
from tests.helpers.synthetic_run import make_config, running

LIMIT_MS = 50.0
LIMIT_S = 2.0
STEPS, VARIED = 1_000_000, 1000
OPENINGS = 3


def write_long_run(path):
    config = make_config("a million", steps=STEPS, layers=6, run={
        "attention_every": VARIED // 4, "memory_every": VARIED // 4, "validate_every": VARIED // 4})
    with running(path, config) as run:
        run.advance(VARIED)  # with probes, captures and evaluations
        again = [run.numbers.step(step, "measure") for step in range(1, VARIED + 1)]
        for step, columns in zip(range(VARIED + 1, STEPS + 1), itertools.cycle(again), strict=False):
            run.t_ms += columns["step_ms"]
            run.writer.step(t_ms=run.t_ms, **{**columns, "step": step})
        run.end("finished")


def test_a_run_of_a_million_steps_opens_without_a_wait(tmp_path):
    path = tmp_path / "long.tfx"
    start = time.perf_counter()
    write_long_run(path)
    print(f"\n{STEPS:,} steps written in {time.perf_counter() - start:.0f} s: {path.stat().st_size / 2**20:.0f} MiB")
    openings = [window_says(tmp_path / f"home {n}", "long_run", path=str(path))[0] for n in range(OPENINGS)]
    print(f"{'opening':>8}{'on screen':>12}{'p50':>11}{'p99':>11}{'longest':>11}{'memory':>14}")
    for number, said in enumerate(openings, start=1):
        assert said["steps"] == STEPS
        print(f"{number:>8}{said['shown_s']:>10.2f} s" + "".join(
            f"{said[key]:>8.1f} ms" for key in ("median_ms", "p99_ms", "max_ms"))
            + f"{said['rss_bytes'] / 2**20:>10.1f} MiB")
    assert min(said["shown_s"] for said in openings) <= LIMIT_S
    assert min(said["max_ms"] for said in openings) <= LIMIT_MS
