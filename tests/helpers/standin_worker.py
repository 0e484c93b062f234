"""A stand-in for `tfx_engine.worker` that needs no torch, for tests of the service alone.

The service starts it instead of the real worker where the environment variable TFX_WORKER_MODULE names it
(`tests.helpers.standin_worker`). It speaks the real protocol and writes real run files. What it does with a run is said
by the run's name:

    quick        two steps, finished                   endless      steps until it is stopped or stdin ends
    crash        a segmentation fault                  exit         exit code 3, with a word on stderr
    print        prints to descriptor 1 from C         hang         goes on after stdin ended
    leave-child  leaves a sleeping process behind      dawdle       takes the run a second after it was told to

A configuration of the name "crash-the-check" kills the worker that checks it; "refuse" has a problem; "slow-check"
takes a while to be checked.
TFX_STANDIN=broken in the environment: it never gets ready. TFX_STANDIN=on-cpu: it says that it runs there.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from tfx_engine.protocol.codec import decode_line, problem_to_data
from tfx_engine.protocol.launch import end_with_parent
from tfx_engine.protocol.messages import Reply
from tfx_engine.protocol.problems import Problem
from tfx_engine.protocol.stdio import Lines, take_stdio
from tfx_engine.protocol.worker_messages import (
    Check,
    Ended,
    Examine,
    Predict,
    Prove,
    Ready,
    RunFile,
    Stop,
    ToWorker,
    WarmedUp,
)
from tfx_engine.runfile.mailbox import Mailbox
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.writer import RunWriter

STEP_S = 0.01
SLOW_CHECK_S = 1.0
MODE = "TFX_STANDIN"


def main() -> int:
    """Serve until end-of-file."""
    lines = take_stdio()
    end_with_parent()
    if os.environ.get(MODE) == "broken":
        print("ImportError: this stand-in is broken", file=sys.stderr)
        return 1
    lines.send(Ready(torch="stand-in"))
    input_ended, stop = threading.Event(), threading.Event()
    runs: list[threading.Thread] = []
    for line in lines.receive():
        match decode_line(line, ToWorker):
            case Check(id=number, config=config):
                lines.send(_check(number, config["name"]))
            case Predict(id=number, level=level, device_memory=memory):
                lines.send(Reply(id=number, ok=True, result={"level": level, "device_bytes": memory}))
            case Examine(id=number):
                lines.send(Reply(id=number, ok=True, result={"torch": "stand-in", "devices": ["cpu"]}))
            case Prove(id=number, run=run, config=config):
                lines.send(Ended(status="finished"))
                lines.send(_audited(number, run, config["name"]))
                return 0
            case RunFile(path=path):
                runs.append(threading.Thread(target=_run, args=(Path(path), lines, input_ended, stop)))
                runs[-1].start()
            case Stop():
                stop.set()
    input_ended.set()
    return 0


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
    writer.state("running")
    lines.send(WarmedUp(device="cpu" if os.environ.get(MODE) == "on-cpu" else "cuda"))
    _misbehave(name)
    status = _steps(name, writer, Mailbox(path), input_ended, stop)
    if name == "quick":
        writer.fact("environment", dict(os.environ))
    writer.state(status)
    writer.close()
    lines.send(Ended(status=status))
    os._exit(0)


def _steps(
    name: str, writer: RunWriter, mailbox: Mailbox, input_ended: threading.Event, stop: threading.Event
) -> str:
    steps = 10**9 if name in ("endless", "hang", "crash", "exit") else 2
    for step in range(1, steps + 1):
        writer.step(step=step, phase="measure", t_ms=step * 10.0, loss=1.0 / step, step_ms=10.0, tokens=64)
        if stop.is_set() or any(control.action == "stop" for control in mailbox.poll()):
            return "stopped"
        if input_ended.is_set() and name != "hang":
            return "interrupted"
        time.sleep(STEP_S)
    return "finished"


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
