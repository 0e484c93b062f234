"""Two ways to do the same thing, timed in turn: a machine that is slower for a while is slower for both."""

from __future__ import annotations

import datetime
import itertools
import statistics
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np

from tfx_engine.protocol.config import Config
from tfx_engine.runfile.create import create
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.store import new_run_path
from tfx_engine.worker.run import execute

Round = Callable[[], list[float]]  # does some steps; milliseconds from the end of each step to the end of the next


def interleaved(rounds: int, ours: Round, theirs: Round) -> tuple[list[float], list[float]]:
    """The median of each round, ours and theirs in turn, after one round of each that does not count."""
    ours(), theirs()
    pairs = [(statistics.median(ours()), statistics.median(theirs())) for _ in range(rounds)]
    return [a for a, _ in pairs], [b for _, b in pairs]


def run_of(config: Config, store: Path) -> Round:
    """A whole run with everything that it measures, by its file: the time from step to step, reading included."""

    def round_() -> list[float]:
        path = new_run_path(store, config.name, datetime.datetime.now())
        create(path, config, "")
        assert execute(path).status == "finished"
        with closing(RunReader(path)) as reader:
            steps = reader.steps()
        counts = (steps["phase"] == "measure") & (steps["taint"] == None)  # noqa: E711  elementwise
        between = np.diff(steps["t_ms"])[counts[1:]]
        return between.tolist()

    return round_


def loop_of(step: Callable[[int], None], steps: int) -> Round:
    """A bare loop: `step(index)` does one step and returns when it is done."""

    def round_() -> list[float]:
        ends = [time.perf_counter()]
        for index in range(steps):
            step(index)
            ends.append(time.perf_counter())
        return [1000 * (b - a) for a, b in itertools.pairwise(ends[1:])]

    return round_


def table(title: str, names: tuple[str, str], ours: list[float], theirs: list[float]) -> float:
    """Print the rounds; returns the median ratio ours / theirs."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    print(f"\n{title}\n{'round':>8}{names[0]:>24}{names[1]:>24}{'ratio':>10}")
    for number, (a, b, ratio) in enumerate(zip(ours, theirs, ratios, strict=True), start=1):
        print(f"{number:>8}{a:>21.1f} ms{b:>21.1f} ms{ratio:>10.3f}")
    ratio = statistics.median(ratios)
    print(f"{'median':>8}{statistics.median(ours):>21.1f} ms{statistics.median(theirs):>21.1f} ms{ratio:>10.3f}")
    return ratio
