"""One run, from a queued run file to its end.

Whatever happens, the file says how the run ended, in words; only a process that is killed cannot say it, and for that
there is the lock, which is free then.
"""

from __future__ import annotations

import dataclasses
import os
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import torch

from tfx_engine.estimate import flops_per_token
from tfx_engine.measure.clock import make_clock
from tfx_engine.measure.device import DeviceSampler
from tfx_engine.measure.disturbance import Disturbance
from tfx_engine.measure.gaps import Gaps
from tfx_engine.measure.memory import MemoryMeter, is_out_of_memory, make_meter
from tfx_engine.measure.memory_split import resting_split
from tfx_engine.model.validate import pick_device, validate
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem, errors_among
from tfx_engine.protocol.status import Status
from tfx_engine.protocol.worker_messages import InTurns
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.techniques.compile import replays
from tfx_engine.train.control import RunControl, StopFlag
from tfx_engine.train.loop import Loop
from tfx_engine.train.setup import Setup, set_up
from tfx_engine.train.turns import Turns
from tfx_engine.worker import facts, failure
from tfx_engine.worker.advice import Advice, advice, sentence
from tfx_engine.worker.audit.phase import audit_run
from tfx_engine.worker.deadline import Deadline
from tfx_engine.worker.foretold import Foretold
from tfx_engine.worker.logs import LogCapture, complain
from tfx_engine.worker.mail import MailReader, watch_for_gaps
from tfx_engine.worker.recording import RunRecorder
from tfx_engine.worker.saving import save_weights
from tfx_engine.worker.speed import Speed

_LEFT_OUT = tr_mark("Measured steps that were disturbed from outside, and are left out of the statistics: {steps}.")
_THEY_COUNT = tr_mark(
    "More measured steps were disturbed from outside than were not ({steps}): they count all the same. This machine "
    "was busy with something else; compare with care."
)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    status: Status
    reason: str = ""


def execute(
    path: str | os.PathLike[str],
    stop: StopFlag | None = None,
    on_warmed_up: Callable[[str], None] = lambda device: None,
    own_process: bool = False,
    turns: Turns | None = None,
    part: InTurns | None = None,
) -> Outcome:
    """Do the queued run of a file and record it there. Returns how it ended; its failures are outcomes, not exceptions.

    `on_warmed_up` gets the kind of device. `own_process`: this process does nothing else, so its stderr belongs to the
    run and an interruption may end it. `turns`, `part`: where it takes turns with others; once it is
    finished the file stays `running` and is left to `part.heir`, which goes on with the comparison. Raises
    `RunFileError` where the file cannot be read or written.
    """
    path = Path(path)
    stop = stop or StopFlag()
    config, problems = _config_of(path)
    with ExitStack() as stack:
        writer = stack.enter_context(RunWriter(path, on_error=complain, hurried=stop.is_set))
        if part is not None:
            writer.fact("resident", part.resident)
        zero_ns = time.perf_counter_ns() - round(writer.t_ms() * 1e6)  # one zero for the steps and all else
        writer.state("running")
        gaps = watch_for_gaps(writer, zero_ns)
        run = _Run(config, problems, writer, RunControl(stop), on_warmed_up, zero_ns, path, gaps, turns)
        if own_process:
            stack.enter_context(Deadline(stop, writer, lambda: run.outcome().status))
        stack.enter_context(LogCapture(writer.log, streams=own_process))
        mail = MailReader(path, run.control, writer, gaps)
        mail.start()
        stack.callback(mail.stop)
        outcome = run.to_its_end()
        if part is not None and outcome.status == "finished":
            writer.leave_to(part.heir)
        else:
            writer.state(outcome.status, outcome.reason)
    return outcome


def _config_of(path: Path) -> tuple[Config, tuple[Problem, ...]]:
    """The configuration in a file; it has problems where it was written by hand, or by another version."""
    reader = RunReader(path)
    try:
        return parse_config(reader.info().config)
    finally:
        reader.close()


class _Run:
    """The phases of one run."""

    def __init__(
        self, config: Config, problems: tuple[Problem, ...], writer: RunWriter, control: RunControl,
        on_warmed_up: Callable[[str], None], zero_ns: int, path: Path, gaps: Gaps, turns: Turns | None = None,
    ) -> None:
        self._path, self._gaps = path, gaps
        self.control = control
        self._config, self._problems, self._writer, self._zero_ns = config, problems, writer, zero_ns
        self._on_warmed_up, self._turns = on_warmed_up, turns
        self._recorder = RunRecorder(writer, self._warmed_up)
        self._device = torch.device("cpu")
        self._setup: Setup | None = None
        self._loop: Loop | None = None
        self._meter: MemoryMeter | None = None
        self._base_rss_bytes = 0
        self._is_complete = False

    def to_its_end(self) -> Outcome:
        """Build, warm up, measure, probe, audit. Every failure becomes an outcome in words."""
        try:
            self._build_and_train()
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # also MemoryError, and what a library raises past Exception
            return self._failed(error)
        return self.outcome()

    def outcome(self) -> Outcome:
        """How the run ended. Once all was measured and saved it is finished, whoever stops what comes after."""
        stop = self.control.stop
        return Outcome(stop.status, stop.reason) if stop.is_set() and not self._is_complete else Outcome("finished")

    def _build_and_train(self) -> None:
        recorder, writer = self._recorder, self._writer
        recorder.phase("build")
        self._judge()
        self._device = pick_device(self._config.run.device)
        self._base_rss_bytes = facts.rss_bytes()
        writer.fact("process_base_rss_bytes", self._base_rss_bytes)
        sampler = DeviceSampler(self._device, recorder.device)
        self._meter = make_meter(self._device, replays(self._config))
        setup = self._setup = set_up(self._config, self._device)
        sampler.gpu.read()  # finds out what the driver refuses
        self._note_facts(setup, sampler, self._meter)
        recorder.declared_flops = facts.declared_flops(setup)
        speed = Speed(self._config, self._device, sampler.gpu, writer)
        speed.note_known()
        foretold = Foretold(self._config, writer)
        foretold.note_instant()
        is_trained = self._train(setup, self._meter, sampler)
        self._note_speed(speed, setup)
        stop = self.control.stop
        if self._config.run.probes and not stop.is_set():
            foretold.note_traced(len(recorder.measured_ms))
        foretold.compare(recorder.highest_peak_bytes)
        if self._config.run.save_weights and stop.status != "interrupted":  # then there is no time
            save_weights(setup, self._path, writer)
        self._is_complete = is_trained and stop.status != "interrupted"
        if self._is_complete and not stop.is_set() and self._config.run.probes and self._config.run.audit:
            recorder.phase("audit")
            audit_run(setup, writer, stop)

    def _judge(self) -> None:
        """Refuse a configuration that is wrong, and write down what it is warned of. Raises `ConfigError`."""
        problems = self._problems or validate(self._config)
        if errors_among(problems):
            raise ConfigError(errors_among(problems))
        for warning in problems:
            self._writer.event("warning", warning.code, "{sentence}", sentence=warning.sentence(), path=warning.path)

    def _train(self, setup: Setup, meter: MemoryMeter, sampler: DeviceSampler) -> bool:
        """The loop, and the device's samples beside it; whether all steps were done."""
        clock = make_clock(self._device, self._zero_ns)
        # Those whose turn it was before look like a disturbance, and pairing takes care of real ones.
        is_watched = self._config.run.probes and self._turns is None
        disturbance = Disturbance(self._device, lambda: sampler.newest) if is_watched else None
        self._loop = Loop(setup, clock, meter, self._recorder, self.control, disturbance, self._turns, self._gaps)
        if self._config.run.probes:
            sampler.start()
        try:
            self._loop.run()
        finally:
            sampler.stop()
            if self._config.run.probes:  # what was refused only when it was asked for
                self._note_missing({**sampler.gpu.missing, **meter.missing})
            self._note_device()
        return self._loop.is_complete

    def _note_device(self) -> None:
        """What the device took, and that steps were disturbed."""
        energy = self._recorder.energy.result()
        if isinstance(energy, dict):
            self._writer.fact("energy_j", energy)
        elif energy is not None:
            self._writer.missing("energy_j", energy)
        if self._recorder.others and self._turns is None:
            self._writer.fact("others_percent", statistics.median(self._recorder.others))
        steps, do_count = self._recorder.disturbed
        if steps:
            self._writer.event("warning", "steps-disturbed", _THEY_COUNT if do_count else _LEFT_OUT, steps=steps)

    def _note_speed(self, speed: Speed, setup: Setup) -> None:
        """MFU; measuring the device for it is a matter of a first run, and of nobody who wants the run to end."""
        known = "flops_per_token.model" not in facts.missing_facts(setup)
        flops = flops_per_token(self._config).model * setup.tokens_per_step if known else None
        stop = self.control.stop
        may_measure = self._config.run.probes and not stop.is_set()
        speed.note_reached(flops, self._recorder.measured_ms, may_measure, stop.is_set)
        if may_measure and not stop.is_set():
            speed.note_predicted(self._config, self._recorder.undisturbed_ms, self._recorder.measured_ms)

    def _note_facts(self, setup: Setup, sampler: DeviceSampler, meter: MemoryMeter) -> None:
        for key, value in {**facts.machine_facts(self._device, sampler.gpu), **facts.training_facts(setup)}.items():
            self._writer.fact(key, value)
        self._writer.fact("capacity_bytes", meter.capacity_bytes())
        self._note_missing(facts.missing_readings(setup, sampler.gpu.missing, meter.missing))

    def _note_missing(self, reasons: Mapping[str, str]) -> None:
        for key, reason in reasons.items():
            self._writer.missing(key, reason)

    def _warmed_up(self) -> None:
        self._on_warmed_up(self._device.type)

    def _failed(self, error: BaseException) -> Outcome:
        self._writer.log("traceback", failure.full_traceback(error))
        part, step = (self._loop.parts.current, self._loop.step) if self._loop else ("", 0)
        if is_out_of_memory(error):
            reason = self._out_of_memory(error, part, step)
        else:
            reason = failure.in_a_sentence(error)
            self._writer.event("problem", "failed", "{reason}", reason=reason, step=step, part=part)
        return Outcome("failed", reason)

    def _out_of_memory(self, error: BaseException, part: str, step: int) -> str:
        """Why, what was held and asked for by whom, and what would help."""
        capacity, held = self._meter.capacity_bytes() if self._meter else None, self._held()
        module = failure.module_at(error, self._setup.training.model) if self._setup else ""
        name = facts.device_name(self._device)
        reason = failure.out_of_memory(error, name, part, step, held, capacity, module)
        found = self._advice(capacity)
        self._writer.event(
            "problem", "out-of-memory", "{reason}", reason=reason, step=step, part=part, module=module, held=held,
            capacity_bytes=capacity, asked_bytes=failure.asked_bytes(str(error)),
            advice=[dataclasses.asdict(each) for each in found],
        )
        return f"{reason} {sentence(found, capacity)}".rstrip()

    def _advice(self, capacity_bytes: int | None) -> list[Advice]:
        try:
            return advice(self._config, self._device.type, capacity_bytes)
        except Exception as error:  # there may be no memory for it either, or no estimate of such a step
            self._writer.log("advice", failure.full_traceback(error))
            return []

    def _held(self) -> dict[str, int]:
        """The composition at the last split's peak, or as much as is known of what was held when it broke off."""
        if self._recorder.last_split is not None:
            return self._recorder.last_split.at_peak
        if self._setup is None or self._meter is None:
            return {}
        held = resting_split(self._setup.training.model, self._setup.training.optimizer, self._device)
        memory = self._meter.stop()
        peak = memory.allocated_bytes
        if peak is None and memory.rss_bytes is not None and self._device.type == "cpu":
            # No count: what the process grew by. The tensors of the step are still there, held by the exception.
            peak = memory.rss_bytes - self._base_rss_bytes
        if peak is not None:  # what was held beyond is the step's own
            held["activations and temporary"] = max(0, peak - sum(held.values()))
        return held
