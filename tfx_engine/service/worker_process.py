"""One worker process: started, spoken to, listened to, and ended for certain.

The worker's stdin is a pipe from here; end-of-file on it is the primary signal to end, on every system, also when the
service is killed. A worker leads a session of its own, so that Ctrl-C in a terminal does not reach it, and so that what
it started itself can be ended with it.
"""

from __future__ import annotations

import collections
import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, BinaryIO, cast

import msgspec

from tfx_engine.protocol.codec import decode_line
from tfx_engine.protocol.launch import child_environment, module_argv, own_session
from tfx_engine.protocol.stdio import Lines, read_lines
from tfx_engine.protocol.worker_messages import Ended, FromWorker, ToWorker
from tfx_engine.service.events import Events, WorkerGone, WorkerSaid, WorkerWrote

_TAIL_LINES = 20
_LONGEST_LINE = 10_000  # characters; what a run prints is in its file
_MOST_WAITING = 10_000  # events; a worker that prints without end must not fill the service's memory
_DRAIN_S = 1.0  # for the pipes, after the process ended


class WorkerProcess:
    """A worker. To be started by a thread that lives as long as the service: on Linux the worker ends with that thread.

    Raises `OSError` where the process cannot be started.
    """

    def __init__(self, module: str, events: Events) -> None:
        self.run: Path | None = None  # the run file that it was given
        self.ready_at: float | None = None  # monotonic seconds, when it said `ready`
        self.said: Ended | None = None  # its last word: the run file says the rest
        self.last_lines: collections.deque[str] = collections.deque(maxlen=_TAIL_LINES)
        self._events = events
        self._kill_timer: threading.Timer | None = None
        self._process = subprocess.Popen(
            module_argv(module), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
            env=child_environment(), **own_session(),
        )
        self.pid = self._process.pid
        stdout, stderr = io.BufferedReader(_raw(self._process.stdout)), io.BufferedReader(_raw(self._process.stderr))
        self._lines = Lines(stdout, cast(BinaryIO, self._process.stdin))
        readers = [threading.Thread(target=self._listen, args=(stdout,), name=f"worker {self.pid} stdout", daemon=True),
                   threading.Thread(target=self._drain, args=(stderr,), name=f"worker {self.pid} stderr", daemon=True)]
        for thread in readers:
            thread.start()
        threading.Thread(target=self._wait, args=(readers,), name=f"worker {self.pid} end", daemon=True).start()

    @property
    def ready(self) -> bool:
        """Whether torch is imported and the worker listens."""
        return self.ready_at is not None and self.said is None

    def send(self, message: ToWorker) -> None:
        """Tell the worker. One that is dead does not hear it; `WorkerGone` follows then."""
        try:
            self._lines.send(message)
        except (OSError, ValueError):  # broken pipe, or closed by `end`
            return

    def end(self, grace_s: float) -> None:
        """Ask it to end (end-of-file on its stdin) and kill it, and all that it started, after `grace_s`.

        One that still imports torch hears nothing for seconds and has nothing to lose: it is killed at once.
        """
        self._lines.close()
        if self.run is None and self.ready_at is None:
            self.kill()
        elif self._kill_timer is None:
            self._kill_timer = threading.Timer(grace_s, self.kill)
            self._kill_timer.daemon = True
            self._kill_timer.start()

    def kill(self) -> None:
        """End it now, together with the processes that it started."""
        if self._process.returncode is None:  # until it is reaped, its number belongs to it
            _kill_session(self._process)

    def _listen(self, stdout: BinaryIO) -> None:
        with stdout:
            for line in read_lines(stdout):
                try:
                    message = decode_line(line, FromWorker)
                except msgspec.DecodeError:
                    self._wrote(line)
                    continue
                self._events.put(WorkerSaid(self, message))

    def _drain(self, stderr: BinaryIO) -> None:
        with stderr:
            for line in read_lines(stderr):
                self._wrote(line)

    def _wrote(self, line: bytes) -> None:
        text = line[:_LONGEST_LINE].decode("utf-8", "replace").rstrip()
        self.last_lines.append(text)
        if self._events.qsize() < _MOST_WAITING:
            self._events.put(WorkerWrote(self, text))

    def _wait(self, readers: list[threading.Thread]) -> None:
        """Wait for the end, end what the worker left behind, and only then, with the last line read, say so."""
        if hasattr(os, "waitid"):
            os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)  # dead, but its number is not free for others yet
            _kill_session(self._process)
        exit_code = self._process.wait()
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        for thread in readers:
            thread.join(_DRAIN_S)  # a process that left the session may hold the pipes open for ever
        self._lines.close()
        self._events.put(WorkerGone(self, exit_code))


def _kill_session(process: subprocess.Popen[bytes]) -> None:
    if sys.platform == "win32":
        process.kill()
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return  # nobody is left in it; macOS says "not permitted" for a group of zombies


def _raw(stream: Any) -> io.RawIOBase:
    return cast(io.RawIOBase, stream)  # `bufsize=0` makes it one
