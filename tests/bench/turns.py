"""A measured training and another one, step by step in turn: a machine that is slow for a while is slow for both."""

from __future__ import annotations

import datetime
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import torch

from tfx_engine.measure.clock import make_clock
from tfx_engine.measure.device import DeviceSampler
from tfx_engine.measure.memory import make_meter
from tfx_engine.protocol.config import Config
from tfx_engine.runfile.create import create
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.store import new_run_path
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.train.control import RunControl, StopFlag
from tfx_engine.train.loop import Loop
from tfx_engine.train.setup import set_up
from tfx_engine.worker.mail import MailReader
from tfx_engine.worker.recording import RunRecorder

PATIENCE_S = 600.0


class TakingTurns(RunControl):
    """The loop asks for its controls between steps: there it waits for its turn."""

    def __init__(self) -> None:
        super().__init__(StopFlag())
        self._turn, self._done = threading.Semaphore(0), threading.Semaphore(0)

    def requests(self):
        self._done.release()
        self._turn.acquire()
        return super().requests()

    def wait(self) -> None:
        """Wait until the loop is between steps."""
        assert self._done.acquire(timeout=PATIENCE_S)

    def go(self) -> None:
        """Let the loop do one step, and what it measures around it."""
        self._turn.release()


class Measured:
    """A training with everything that a run has: run file, mailbox, sampler, probes. Stepped from outside."""

    def __init__(self, config: Config, store: Path) -> None:
        self.path = new_run_path(store, config.name, datetime.datetime.now())
        create(self.path, config, "")
        device = torch.device("cpu")
        self._control = TakingTurns()
        self._writer = RunWriter(self.path)
        recorder = RunRecorder(self._writer, lambda: None)
        self._mail = MailReader(self.path, self._control, self._writer)
        self._sampler = DeviceSampler(device, recorder.device)
        clock = make_clock(device, time.perf_counter_ns())
        self._loop = Loop(set_up(config, device), clock, make_meter(device), recorder, self._control)
        self._thread = threading.Thread(target=self._loop.run, name="measured training")

    def __enter__(self) -> Measured:
        self._mail.start()
        self._sampler.start()
        self._thread.start()
        self._control.wait()
        return self

    def __exit__(self, *error: object) -> None:
        self._control.stop.set("interrupted", "enough")
        self._control.go()
        self._thread.join(PATIENCE_S)
        self._sampler.stop()
        self._mail.stop()
        self._writer.close()

    def step(self) -> int:
        """One turn; returns the number of the step that it was at."""
        self._control.go()
        self._control.wait()
        return self._loop.step

    def tainted(self) -> set[int]:
        """The steps that count in no time statistics."""
        with closing(RunReader(self.path)) as reader:
            steps = reader.steps()
        return {int(s) for s, taint in zip(steps["step"], steps["taint"], strict=True) if taint}


def in_turn(config: Config, store: Path, theirs: Callable[[int], None], count: int) -> list[tuple[float, float]]:
    """Milliseconds of `count` steps, ours with all its measuring, and theirs right after it."""
    pairs: list[tuple[int, float, float]] = []
    with Measured(config, store) as measured:
        theirs(0)
        done = 0
        while len(pairs) < count:
            begun = time.perf_counter()
            step = measured.step()
            between = time.perf_counter()
            if step == done:
                continue  # a look at the controls without a step, between two phases
            done = step
            theirs(step)
            pairs.append((step, 1000 * (between - begun), 1000 * (time.perf_counter() - between)))
    tainted = measured.tainted() | {1}
    return [(ours, other) for step, ours, other in pairs if step not in tainted]


def table(title: str, names: tuple[str, str], pairs: list[tuple[float, float]]) -> float:
    """Print the quartiles; returns the median of the pairs' ratios, ours / theirs."""
    columns = ([a for a, _ in pairs], [b for _, b in pairs], [a / b for a, b in pairs])
    print(f"\n{title}, {len(pairs)} pairs of steps in turn\n{'':>16}{names[0]:>22}{names[1]:>22}{'ratio':>10}")
    for word, at in (("lower quartile", 0), ("median", 1), ("upper quartile", 2)):
        ours, theirs, ratio = (statistics.quantiles(column, n=4)[at] for column in columns)
        print(f"{word:>16}{ours:>19.1f} ms{theirs:>19.1f} ms{ratio:>10.3f}")
    return statistics.median(columns[2])
