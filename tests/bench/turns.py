"""A measured training and another one, step by step in turn: a machine that is slow for a while is slow for both."""

from __future__ import annotations

import dataclasses
import datetime
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import torch
from torch import Tensor, nn

from tfx_engine.data import make_task
from tfx_engine.measure.clock import make_clock
from tfx_engine.measure.device import DeviceSampler
from tfx_engine.measure.gaps import Gaps
from tfx_engine.measure.memory import make_meter
from tfx_engine.measure.memory_events import warm_up_profiler
from tfx_engine.model.validate import pick_device
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
        while not (self._turn.acquire(timeout=0.05) or self.stop.is_set()):
            continue
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
        warm_up_profiler()  # on the main thread, as a worker does
        device = pick_device(config.run.device)
        self._control = TakingTurns()
        self._writer = RunWriter(self.path)
        recorder = RunRecorder(self._writer, lambda: None)
        self._mail = MailReader(self.path, self._control, self._writer, Gaps(time.perf_counter_ns()))
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


@dataclasses.dataclass(frozen=True)
class Pair:
    """One step of each, one right after the other; wall and CPU time in ms, CPU time that of all threads."""

    step: int
    ours: float
    theirs: float
    ours_cpu: float
    theirs_cpu: float


def others(
    config: Config, model: nn.Module, loss_of: Callable[[nn.Module, Tensor], Tensor]
) -> Callable[[int], None]:
    """A bare training loop's step of somebody else's model: same device, batches, optimizer, precision and compiler."""
    device, task = pick_device(config.run.device), make_task(config)
    model = model.to(device)
    forward = torch.compile(model) if config.techniques["compile"].use != "none" else model
    is_low = config.techniques["precision"].use == "bfloat16_autocast"
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def step(index: int) -> None:
        inputs, _ = task.batch(index)
        with torch.autocast(device.type, torch.bfloat16, enabled=is_low):
            loss = loss_of(forward, inputs.to(device))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()

    return step


def in_turn(config: Config, store: Path, theirs: Callable[[int], None], count: int) -> list[Pair]:
    """`count` steps, ours with all its measuring, and theirs right after it, without memory probes and the first."""
    pairs: list[Pair] = []
    settle = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None
    with Measured(config, store) as measured:
        theirs(0)
        done = 0
        while len(pairs) < count:
            begun, begun_cpu = time.perf_counter(), time.process_time()
            step = measured.step()
            settle()
            between, between_cpu = time.perf_counter(), time.process_time()
            if step == done:
                continue  # a look at the controls without a step, between two phases
            done = step
            theirs(step)
            settle()
            end, end_cpu = time.perf_counter(), time.process_time()
            pairs.append(Pair(step, 1000 * (between - begun), 1000 * (end - between),
                              1000 * (between_cpu - begun_cpu), 1000 * (end_cpu - between_cpu)))
    left_out = measured.tainted() | {1}
    return [pair for pair in pairs if pair.step not in left_out]


def table(title: str, names: tuple[str, str], pairs: list[Pair]) -> float:
    """Print the quartiles; returns the median of the pairs' wall time ratios, ours / theirs."""
    print(f"\n{title}, {len(pairs)} pairs of steps in turn\n{'':>16}{names[0]:>22}{names[1]:>22}{'ratio':>10}")
    wall = [(pair.ours, pair.theirs, pair.ours / pair.theirs) for pair in pairs]
    cpu = [(pair.ours_cpu, pair.theirs_cpu, pair.ours_cpu / pair.theirs_cpu) for pair in pairs]
    lines = (("lower quartile", wall, 0), ("median", wall, 1), ("upper quartile", wall, 2), ("CPU, median", cpu, 1))
    for word, rows, at in lines:
        ours, theirs, ratio = (statistics.quantiles(column, n=4)[at] for column in zip(*rows, strict=True))
        print(f"{word:>16}{ours:>19.1f} ms{theirs:>19.1f} ms{ratio:>10.3f}")
    return statistics.median(ratio for _, _, ratio in wall)
