"""The worker's side of the conversation with the service: checks, then one run or one audit, then the end."""

from __future__ import annotations

import dataclasses
import queue
import threading
from typing import Any

import msgspec
import torch

from tfx_engine.client.own import keep_up
from tfx_engine.estimate import count_parameters, flops_per_token
from tfx_engine.model.validate import validate
from tfx_engine.protocol.codec import decode_line, problem_to_data
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.messages import Reply
from tfx_engine.protocol.problems import ConfigError, Problem, errors_among
from tfx_engine.protocol.stdio import Lines
from tfx_engine.protocol.worker_messages import (
    Check,
    Ended,
    Examine,
    NoMoreTurns,
    Predict,
    Prove,
    Ready,
    RunFile,
    Stop,
    ToWorker,
    Turn,
    WarmedUp,
)
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.techniques.own import look_again
from tfx_engine.train.control import ON_REQUEST, StopFlag
from tfx_engine.train.turns import Turns
from tfx_engine.worker.again import execute_again
from tfx_engine.worker.audit.question import prove
from tfx_engine.worker.beside import Beside, problems_in
from tfx_engine.worker.doctor import examine
from tfx_engine.worker.predicting import predict
from tfx_engine.worker.run import Outcome, execute
from tfx_engine.worker.warm_up import warm_up

Jobs = queue.SimpleQueue[RunFile | Prove | None]
Granted = queue.SimpleQueue[Turn | None]
SERVICE_ENDED = "The engine service ended."


class Inbox:
    """What the service says, read by a thread from the first moment on. End-of-file interrupts the run."""

    def __init__(self, lines: Lines, stop: StopFlag) -> None:
        self._lines, self._stop = lines, stop
        self._said: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="service", daemon=True).start()

    def get(self) -> bytes | None:
        """The next line; waits for it. None: there will be no more."""
        return self._said.get()

    def interrupt(self, reason: str) -> None:
        """End, whatever is under way."""
        self._stop.set("interrupted", reason)
        self._said.put(None)

    def _read(self) -> None:
        try:
            for line in self._lines.receive():
                self._said.put(line)
        finally:
            self.interrupt(SERVICE_ENDED)


def converse(lines: Lines, inbox: Inbox, stop: StopFlag) -> None:
    """Say ready, answer checks, do one run or audit. To be called by the main thread, the one that torch works on."""
    runs: Jobs = queue.SimpleQueue()
    turns: Granted = queue.SimpleQueue()
    lines.send(Ready(torch=str(torch.__version__)))
    threading.Thread(target=_answer, args=(lines, inbox, runs, turns, stop), name="answers", daemon=True).start()
    warm_up()
    job = runs.get()
    if isinstance(job, Prove):
        reply = _proved(job, stop)
        lines.send(Ended(status="finished"))  # before the reply, so that nobody asks this worker anything more
        lines.send(reply)
    elif job is not None:
        outcome = _run(job, lines, turns, stop)
        lines.send(Ended(status=outcome.status, reason=outcome.reason))


def _answer(lines: Lines, inbox: Inbox, runs: Jobs, turns: Granted, stop: StopFlag) -> None:
    """Answer each check at once, also while the main thread still warms up; hand the run over, and stop it."""
    beside = Beside(lines.send)
    try:
        while (line := inbox.get()) is not None:
            try:
                message = decode_line(line, ToWorker)
            except msgspec.DecodeError as error:
                print(f"The worker cannot read this line: {error}", flush=True)  # descriptor 1 is the log here
                continue
            with beside.held():
                _take(message, lines, beside, runs, turns, stop)
    finally:
        beside.drop()
        runs.put(None)


def _take(message: Any, lines: Lines, beside: Beside, runs: Jobs, turns: Granted, stop: StopFlag) -> None:
    match message:
        case Check():
            lines.send(_checked(message))
        case Predict(level="instant"):
            lines.send(_predicted(message))
        case Predict():
            _trace(message, lines, beside)
        case Examine():
            lines.send(Reply(id=message.id, ok=True, result=examine(message.measure)))
        case Prove():
            beside.drop()
            runs.put(message)
        case RunFile():
            beside.drop()
            runs.put(message)
        case Turn():
            turns.put(message)
        case NoMoreTurns():
            turns.put(None)
        case Stop():
            stop.set("stopped", ON_REQUEST)


def _run(job: RunFile, lines: Lines, granted: Granted, stop: StopFlag) -> Outcome:
    _look_again()

    def warmed_up(device: str) -> None:
        lines.send(WarmedUp(device=device))

    part = job.turns
    try:
        if part is None:
            return execute(job.path, stop, warmed_up, own_process=True)
        turns = Turns(granted, lines.send, repeats=part.process > 0)
        if part.process == 0:
            return execute(job.path, stop, warmed_up, own_process=True, turns=turns, part=part)
        return execute_again(job.path, part, turns, stop, warmed_up)
    except RunFileError as error:
        return Outcome("failed", error.problem.sentence())


def _checked(check: Check) -> Reply:
    """Every problem; what fails in the judging is one, and the worker goes on."""
    problems: list[Problem] = []
    counts: dict[str, Any] = {}
    try:
        _look_again()
        config, shallow = parse_config(check.config)
        problems = [*shallow] if shallow else validate(config)
        counts = {} if errors_among(problems) else _counts(config)
    except Exception as error:
        problems = [*problems, *problems_in(error)]
    data: list[dict[str, Any]] = [problem_to_data(problem) for problem in problems]
    wrong = bool(errors_among(problems))
    return Reply(id=check.id, ok=not wrong, problems=data, result={} if wrong else counts)


def _predicted(question: Predict) -> Reply:
    try:
        _look_again()
        config, problems = parse_config(question.config)
        if problems:
            raise ConfigError(problems)
        figures = predict(config, question.level, question.device_memory)
    except Exception as error:
        return Reply(id=question.id, ok=False, problems=[problem_to_data(problem) for problem in problems_in(error)])
    return Reply(id=question.id, ok=True, result=figures)


def _trace(question: Predict, lines: Lines, beside: Beside) -> None:
    """Notice of changed techniques is taken here, so that none changes while another thread traces."""
    try:
        if question.level != "time":  # which is asked after an instant answer
            _look_again()
    except Exception as error:
        data = [problem_to_data(problem) for problem in problems_in(error)]
        lines.send(Reply(id=question.id, ok=False, problems=data))
    else:
        beside.ask(question)


def _proved(question: Prove, stop: StopFlag) -> Reply:
    try:
        _look_again()
        found = prove(question.config, question.run, stop.is_set)
    except RunFileError as error:
        return Reply(id=question.id, ok=False, problems=[problem_to_data(error.problem)])
    except Exception as error:
        return Reply(id=question.id, ok=False, problems=[problem_to_data(problem) for problem in problems_in(error)])
    return Reply(id=question.id, ok=True, result=found)


def _look_again() -> None:
    """Take notice of what changed in the user's techniques, after another process has survived the loading."""
    keep_up()
    look_again()


def _counts(config: Config) -> dict[str, Any]:
    """What a window shows before the run: parameters and FLOPs."""
    params, flops = count_parameters(config), flops_per_token(config)
    return {
        "params": dataclasses.asdict(params),
        "flops_per_token": {"model": flops.model, "hardware": flops.hardware},
    }
