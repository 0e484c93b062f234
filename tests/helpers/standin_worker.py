"""A stand-in for `tfx_engine.worker` that needs no torch, for tests of the service alone.

The service starts it instead of the real worker where the environment variable TFX_WORKER_MODULE names it
(`tests.helpers.standin_worker`). It speaks the real protocol and writes real run files. What it does with a run is said
by the run's name:

    quick        two steps, finished                   endless      steps until it is stopped or stdin ends
    crash        a segmentation fault                  exit         exit code 3, with a word on stderr
    print        prints to descriptor 1 from C         hang         goes on after stdin ended
    leave-child  leaves a sleeping process behind      dawdle       takes the run a second after it was told to
    noisy        a megabyte of rubbish, two steps      noisy-endless  prints 2 kB in every step

In turns with others (`InTurns`) it does one step for each that is asked for, of 10 ms, or of 20 where the name begins
with "slow"; of its own it has `measure_steps`. A name with "dies in 2" kills the worker in its first turn of round 2,
with "fails in 2" it fails then as a run does that has no memory. TFX_STANDIN=one-loads: only the first worker loads,
all others end at once; TFX_STANDIN=one-ends: only the first run ends by itself (TFX_STANDIN_MARK: the file by which
they know).

A configuration of the name "crash-the-check" kills the worker that checks it; "refuse" has a problem; "slow-check"
takes a while to be checked.
TFX_STANDIN=broken in the environment: it never gets ready. TFX_STANDIN=importing: nor does it, and it hears nothing.
TFX_STANDIN=on-cpu: it says that it runs there.
"""

from __future__ import annotations

import dataclasses
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

from tests.survival.noise import make_noise
from tfx_engine.measure.gaps import Gaps
from tfx_engine.protocol.codec import decode_line, problem_to_data
from tfx_engine.protocol.launch import end_with_parent
from tfx_engine.protocol.messages import Reply
from tfx_engine.protocol.problems import Problem
from tfx_engine.protocol.stdio import Lines, take_stdio
from tfx_engine.protocol.worker_messages import (
    Check,
    Ended,
    Examine,
    InTurns,
    NoMoreTurns,
    Predict,
    Prove,
    Ready,
    RunFile,
    Stop,
    ToWorker,
    Turn,
    TurnOver,
    WarmedUp,
)
from tfx_engine.runfile.mailbox import Mailbox
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.train.control import RunControl
from tfx_engine.worker.logs import LogCapture
from tfx_engine.worker.mail import MailReader, watch_for_gaps

STEP_S = 0.01
CAPACITY = 2**34  # bytes of the device that it says it has
PEAK = "TFX_STANDIN_PEAK"  # environment variable: the bytes that every run is predicted to take
SLOW_CHECK_S = 1.0
MODE = "TFX_STANDIN"


def main() -> int:
    """Serve until end-of-file."""
    lines = take_stdio()
    end_with_parent()
    if os.environ.get(MODE) == "one-loads" and not _is_first():
        return 1
    if os.environ.get(MODE) == "broken":
        print("ImportError: this stand-in is broken", file=sys.stderr)
        return 1
    if os.environ.get(MODE) == "importing":
        time.sleep(600)
    lines.send(Ready(torch="stand-in"))
    input_ended, stop = threading.Event(), threading.Event()
    runs: list[threading.Thread] = []
    turns: queue.SimpleQueue[Turn | None] = queue.SimpleQueue()
    for line in lines.receive():
        match decode_line(line, ToWorker):
            case Check(id=number, config=config):
                lines.send(_check(number, config["name"]))
            case Predict(id=number, level=level, device_memory=memory):
                peak = int(os.environ.get(PEAK, "1000"))
                lines.send(Reply(id=number, ok=True, result={
                    "level": level, "device_bytes": memory or CAPACITY, "memory_bytes": {"peak": peak},
                }))
            case Examine(id=number):
                lines.send(Reply(id=number, ok=True, result={"torch": "stand-in", "devices": []}))
            case Prove(id=number, run=run, config=config):
                lines.send(Ended(status="finished"))
                lines.send(_audited(number, run, config["name"]))
                return 0
            case RunFile(path=path, turns=None):
                runs.append(threading.Thread(target=_run, args=(Path(path), lines, input_ended, stop)))
                runs[-1].start()
            case RunFile(path=path, turns=part):
                take_turns = TurnTaker(Path(path), part, lines, turns, stop, input_ended)
                runs.append(threading.Thread(target=take_turns.run))
                runs[-1].start()
            case Turn() as turn:
                turns.put(turn)
            case NoMoreTurns():
                turns.put(None)
            case Stop():
                stop.set()
    input_ended.set()
    turns.put(None)
    return 0


def _is_first() -> bool:
    """Whether this is the first worker of its service; a file remembers."""
    try:
        os.close(os.open(os.environ["TFX_STANDIN_MARK"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _check(number: int, name: str) -> Reply:
    if name == "crash-the-check":
        os.kill(os.getpid(), signal.SIGKILL)
    if name == "slow-check":
        time.sleep(SLOW_CHECK_S)
    refusal = Problem(code="refused", path="name", template="is {name!r}.", args={"name": name})
    problems = [refusal] if name == "refuse" else []
    return Reply(id=number, ok=not problems, problems=[problem_to_data(p) for p in problems])


def _audited(number: int, run: str, name: str) -> Reply:
    """One claim, which holds but for the name "endless"; written to the run's file, where there is one."""
    row = {"slot": "mask", "technique": "causal", "claim": "hides", "ok": name != "endless", "code": "standin",
           "template": "{count} tokens are hidden.", "args": {"count": 3}}  # fmt: skip
    if run:
        with RunWriter(run) as writer:
            writer.audit(**row)  # type: ignore[arg-type]
    return Reply(id=number, ok=True, result={"audit": [row]})


def _run(path: Path, lines: Lines, input_ended: threading.Event, stop: threading.Event) -> None:
    reader = RunReader(path)
    name = reader.info().name
    reader.close()
    if name == "dawdle":
        time.sleep(1.0)
    writer = RunWriter(path)
    gaps = watch_for_gaps(writer, time.perf_counter_ns() - round(writer.t_ms() * 1e6))
    writer.state("running")
    control = RunControl()
    mail = MailReader(path, control, writer, gaps)
    mail.start()
    lines.send(WarmedUp(device="cpu" if os.environ.get(MODE) == "on-cpu" else "cuda"))
    _misbehave(name)
    with LogCapture(writer.log, streams=name.startswith("noisy")):
        status = _steps(name, writer, control, gaps, input_ended, stop)
    mail.stop()
    if name == "quick":
        writer.fact("environment", dict(os.environ))
    writer.state(status)
    writer.close()
    lines.send(Ended(status=status))
    os._exit(0)


def _steps(
    name: str, writer: RunWriter, control: RunControl, gaps: Gaps, input_ended: threading.Event, stop: threading.Event
) -> str:
    if name == "noisy":
        make_noise()
    is_endless = name in ("endless", "noisy-endless", "hang", "crash", "exit")
    if os.environ.get(MODE) == "one-ends":
        is_endless = not _is_first()
    steps = 10**9 if is_endless else 2
    for step in range(1, steps + 1):
        begun_ms = writer.t_ms()
        if name == "noisy-endless":
            os.write(1, b"printed in every step\n" * 100)
        time.sleep(STEP_S)
        done = Done(writer.t_ms(), writer.t_ms() - begun_ms)
        gaps.mark([done])
        writer.step(step=step, phase="measure", loss=1.0 / step, tokens=64, **vars(done))
        if stop.is_set() or control.stop.is_set():
            return "stopped"
        if input_ended.is_set() and name != "hang":
            return "interrupted"
    return "finished"


@dataclasses.dataclass
class Done:
    """A step that was done."""

    t_ms: float
    step_ms: float
    taint: str | None = None


class TurnTaker:
    """One run, or a later process of it, in an interleaved comparison."""

    def __init__(
        self, path: Path, part: InTurns, lines: Lines, turns: queue.SimpleQueue[Turn | None], stop: threading.Event,
        input_ended: threading.Event,
    ) -> None:
        self.part, self.lines, self.turns, self.stop, self.input_ended = part, lines, turns, stop, input_ended
        with closing(RunReader(path)) as reader:
            info = reader.info()
        self.name, self.own = info.name, int(info.config["run"]["measure_steps"])
        self.writer, self.mailbox, self.step = RunWriter(path), Mailbox(path), 0

    def run(self) -> None:
        """Until there are no more turns, or it is told to stop."""
        writer, part = self.writer, self.part
        writer.state("running")
        self.lines.send(WarmedUp(device="cpu"))
        status = self._turns()
        if self.input_ended.is_set():
            status = "interrupted"
        if status == "interrupted" or (status != "finished" and part.process == 0):
            writer.state(status)
        else:
            writer.leave_to(part.heir)
        writer.close()
        self.lines.send(Ended(status=status, reason="no memory left" if status == "failed" else ""))
        os._exit(0)

    def _turns(self) -> str:
        while True:
            try:
                turn = self.turns.get(timeout=STEP_S)
            except queue.Empty:
                if self._is_stopped():
                    return "stopped"
                continue
            if turn is None:
                return "finished"
            if turn.round == 2 and "dies in 2" in self.name:
                os.kill(os.getpid(), signal.SIGKILL)
            if turn.round == 2 and "fails in 2" in self.name:
                return "failed"
            self._take(turn)

    def _take(self, turn: Turn) -> None:
        ms = 20.0 if self.name.startswith("slow") else 10.0
        for _ in range(turn.steps):
            self.step += 1
            self.writer.step(
                step=self.step, process=self.part.process, round=turn.round, block=turn.block, phase="measure",
                loss=1.0, learning_rate=time.time(), step_ms=ms + 0.01 * (self.step % 3), tokens=64,
            )
            time.sleep(STEP_S)
        self.writer.flush()
        is_done = self.part.process == 0 and self.step >= self.own
        self.lines.send(TurnOver(round=turn.round, block=turn.block, steps=turn.steps, ms=ms, is_done=is_done))

    def _is_stopped(self) -> bool:
        return self.stop.is_set() or any(control.action == "stop" for control in self.mailbox.poll())


def _misbehave(name: str) -> None:
    if name == "crash":
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGSEGV)).start()
    elif name == "exit":
        print("the stand-in has had enough", file=sys.stderr, flush=True)
        threading.Timer(0.3, os._exit, (3,)).start()
    elif name == "print":
        os.write(1, b'{"say":"ended","status":"failed"}\nprinted from C\n')
    elif name == "leave-child":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        print(json.dumps({"child": child.pid}), file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
