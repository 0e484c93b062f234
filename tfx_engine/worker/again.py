"""A later process of a run in an interleaved comparison: builds the same model again and measures time, nothing else.

The run's losses, memory, profile and audit are those of its first process. This one begins from the seed once more, and
adds to the file the times of its steps, which belong to a later round.
"""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from tfx_engine.measure.clock import make_clock
from tfx_engine.measure.gaps import Gaps
from tfx_engine.measure.memory import is_out_of_memory, make_meter
from tfx_engine.measure.readout import StepReading
from tfx_engine.model.validate import pick_device
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError
from tfx_engine.protocol.status import Phase
from tfx_engine.protocol.worker_messages import InTurns
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.techniques.compile import replays
from tfx_engine.train.control import RunControl, StopFlag
from tfx_engine.train.loop import Loop
from tfx_engine.train.setup import set_up
from tfx_engine.train.turns import Turns
from tfx_engine.worker import facts, failure
from tfx_engine.worker.deadline import Deadline
from tfx_engine.worker.logs import LogCapture, complain
from tfx_engine.worker.mail import MailReader, watch_for_gaps
from tfx_engine.worker.run import Outcome

_AGAIN = tr_mark("Process {process} measures the time of steps again, in round {round} of the comparison.")
_IN_ROUND = tr_mark("In round {round} of the comparison: {reason}")


def execute_again(
    path: str | os.PathLike[str], part: InTurns, turns: Turns, stop: StopFlag,
    on_warmed_up: Callable[[str], None] = lambda device: None,
) -> Outcome:
    """Measure for one round. The file stays `running` and is left to `part.heir`, unless everything is to end.

    Raises `RunFileError` where the file cannot be read or written.
    """
    path = Path(path)
    config = _config_of(path)
    with ExitStack() as stack:
        writer = stack.enter_context(RunWriter(path, on_error=complain, hurried=stop.is_set))
        zero_ns = time.perf_counter_ns() - round(writer.t_ms() * 1e6)
        writer.state("running")
        writer.event("state", "again", _AGAIN, process=part.process, round=part.round)
        control = RunControl(stop)
        stack.enter_context(Deadline(stop, writer))
        stack.enter_context(LogCapture(writer.log, streams=True))
        gaps = watch_for_gaps(writer, zero_ns)
        mail = MailReader(path, control, writer, gaps)
        mail.start()
        stack.callback(mail.stop)
        times = _Times(writer, part.process, on_warmed_up, config)
        outcome = _measure(config, times, control, zero_ns, turns, gaps)
        if outcome.status == "failed":
            reason = _IN_ROUND.format(round=part.round, reason=outcome.reason)
            outcome = Outcome("failed", reason)
            writer.event("problem", "failed", "{reason}", reason=reason)
        if outcome.status == "interrupted":
            writer.state(outcome.status, outcome.reason)  # nobody is left to go on with it
        else:
            writer.leave_to(part.heir)
    return outcome


def _config_of(path: Path) -> Config:
    """The configuration in a file, without whatever is not needed for the time of a step."""
    with closing(RunReader(path)) as reader:
        config, problems = parse_config(reader.info().config)
    if problems:
        raise ConfigError(problems)
    bare = dataclasses.replace(config.run, probes=False, profile=False, audit=False, save_weights=False, snapshot=False)
    return dataclasses.replace(config, run=bare)


def _measure(
    config: Config, times: _Times, control: RunControl, zero_ns: int, turns: Turns, gaps: Gaps
) -> Outcome:
    """Every failure becomes an outcome in words."""
    device, loop = None, None
    try:
        device = pick_device(config.run.device)
        setup = set_up(config, device)
        meter = make_meter(device, replays(config))
        loop = Loop(setup, make_clock(device, zero_ns), meter, times, control, turns=turns, gaps=gaps)
        loop.run()
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # also MemoryError, and what a library raises past Exception
        times.writer.log("traceback", failure.full_traceback(error))
        if is_out_of_memory(error) and device is not None:
            part, step = (loop.parts.current, loop.step) if loop else ("", 0)
            return Outcome("failed", failure.out_of_memory(error, facts.device_name(device), part, step, {}, None, ""))
        return Outcome("failed", failure.in_a_sentence(error))
    stop = control.stop
    return Outcome(stop.status, stop.reason) if stop.is_set() else Outcome("finished")


class _Times:
    """A recorder that keeps the times of steps."""

    def __init__(self, writer: RunWriter, process: int, on_warmed_up: Callable[[str], None], config: Config) -> None:
        self.writer = writer
        self._process, self._on_warmed_up, self._config = process, on_warmed_up, config
        self._place = {"round": 0, "block": 0}

    def phase(self, name: Phase) -> None:
        if name == "measure":
            self._on_warmed_up(pick_device(self._config.run.device).type)

    def turn(self, round_: int, block: int) -> None:
        self._place = {"round": round_, "block": block}

    def steps(self, readings: Sequence[StepReading]) -> None:
        for reading in readings:
            if reading.phase == "measure":
                self.writer.step(
                    step=reading.step, process=self._process, phase=reading.phase, taint=reading.taint,
                    t_ms=reading.t_ms, loss=reading.loss, step_ms=reading.step_ms, tokens=reading.tokens, **self._place,
                )

    def nothing(self, *_: Any, **__: Any) -> None:
        """All else is known from the first process."""

    memory = profile = snapshot = attention = evaluation = fact = missing = event = nothing
