"""A real worker process, spoken to as the service does."""

from __future__ import annotations

import datetime
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from tests.helpers.tiny import SIZES
from tfx_engine.protocol.codec import decode_line, encode_line
from tfx_engine.protocol.config import parse_config
from tfx_engine.protocol.launch import child_environment, module_argv
from tfx_engine.protocol.worker_messages import FromWorker, Ready, RunFile
from tfx_engine.runfile.create import create
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.store import new_run_path

PATIENCE_S = 120.0


def queue_run(store: Path, **sections: Mapping[str, Any]) -> Path:
    """A queued run file of a small configuration; `run={...}` and the like change single keys."""
    wanted: dict[str, Any] = {
        "name": "small", "model": {**SIZES, **sections.pop("model", {})},
        "data": {"task": "copy", "symbols": 5, **sections.pop("data", {})},
        "run": {
            "batch": 2, "device": "cpu", "threads": 1, "audit": False, "profile": False, **sections.pop("run", {}),
        },
        **sections,
    }
    config, problems = parse_config(wanted)
    assert not problems
    path = new_run_path(store, config.name, datetime.datetime.now())
    create(path, config, "")
    return path


class Worker:
    """A started worker. A context manager: the process is gone afterwards."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            module_argv("tfx_engine.worker"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=child_environment(), bufsize=0,
        )

    def say(self, message: Any) -> None:
        """Tell it something: a message, or bytes as they are."""
        assert self.process.stdin is not None
        self.process.stdin.write(message if isinstance(message, bytes) else encode_line(message))

    def hear(self, kind: type[msgspec.Struct]) -> Any:
        """Its next line, which must be of that kind."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, self.process.communicate()[1].decode()
        message = decode_line(line, FromWorker)
        assert isinstance(message, kind), message
        return message

    def begin(self, run: Path) -> None:
        """Give it the run, once it is ready."""
        self.hear(Ready)
        self.say(RunFile(path=str(run)))

    def end_of_file(self) -> None:
        """What the service's death looks like."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        self.process.wait(PATIENCE_S)


def read(run: Path, what: str) -> Any:
    """What the run file says now: the result of a reader's method."""
    with closing(RunReader(run)) as reader:
        return getattr(reader, what)()


def until(condition: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
    """Wait until the condition gives something true, and return that."""
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)
    return found
