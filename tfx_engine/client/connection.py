"""A service as a child process: lines in, lines out, its last words, its end. Threads, so that nothing ever blocks."""

from __future__ import annotations

import collections
import io
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, BinaryIO, cast

from tfx_engine.protocol.launch import child_environment, own_session
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.stdio import Lines, read_lines

CANNOT_START = tr_mark("The engine cannot be started: {reason}")
ENDED = tr_mark("The engine ended (exit code {code}).")
_LAST_LINES = 40
_DRAIN_S = 1.0


class ServiceGone(RuntimeError):
    """The service ended, or could not be started. `last_lines` is what it last wrote to stderr."""

    def __init__(self, message: str, exit_code: int | None = None, last_lines: Sequence[str] = ()) -> None:
        self.exit_code = exit_code
        self.last_lines = tuple(last_lines)
        super().__init__("\n".join([message, *self.last_lines]))


class Connection:
    """A running service. `on_line` gets every line that it says, `on_log` every line of its stderr, `on_end` its end.

    All three are called on threads of the connection, `on_line` and `on_end` on the same one. Raises `ServiceGone`
    where the service cannot be started.
    """

    def __init__(
        self, argv: Sequence[str], on_line: Callable[[bytes], None], on_log: Callable[[str], None],
        on_end: Callable[[ServiceGone], None],
    ) -> None:
        self._on_line, self._on_log, self._on_end = on_line, on_log, on_end
        self._last_lines: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
        self._outgoing: SimpleQueue[bytes | None] = SimpleQueue()
        try:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                env=child_environment(), **own_session(),
            )
        except OSError as error:
            raise ServiceGone(CANNOT_START.format(reason=error)) from error
        self.pid = self._process.pid
        self._writer = self._thread(self._write, "stdin")
        self._drainer = self._thread(self._drain, "stderr")
        self._reader = self._thread(self._read, "stdout")

    def _thread(self, target: Callable[[], None], name: str) -> threading.Thread:
        thread = threading.Thread(target=target, name=f"engine {self._process.pid} {name}", daemon=True)
        thread.start()
        return thread

    def send(self, line: bytes) -> None:
        """Send an encoded line as soon as the service takes it. Never blocks."""
        self._outgoing.put(line)

    def close_input(self) -> None:
        """Send what is waiting, then end-of-file."""
        self._outgoing.put(None)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of the service and of everything said about it; whether it came."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        for thread in (self._reader, self._drainer, self._writer):
            thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        return not self._reader.is_alive()

    def kill(self) -> None:
        """End the service now; its workers see end-of-file and end too."""
        if self._process.returncode is None:
            self._process.kill()

    def is_own_thread(self) -> bool:
        """Whether the caller is one of the callbacks."""
        return threading.current_thread() in (self._reader, self._drainer)

    def _write(self) -> None:
        stdin = Lines(io.BytesIO(), cast(BinaryIO, self._process.stdin))
        try:
            while (line := self._outgoing.get()) is not None:
                stdin.send_bytes(line)
        except OSError:
            return  # the service is gone; `_read` sees that too, and says so
        finally:
            stdin.close()

    def _drain(self) -> None:
        with _buffered(self._process.stderr) as stderr:
            for line in read_lines(stderr):
                text = line.decode("utf-8", "replace").rstrip()
                self._last_lines.append(text)
                self._on_log(text)

    def _read(self) -> None:
        with _buffered(self._process.stdout) as stdout:
            for line in read_lines(stdout):
                self._on_line(line)
        exit_code = self._process.wait()
        self.close_input()  # ends the writer
        self._drainer.join(_DRAIN_S)  # the last words; a process left behind may hold the pipe open for ever
        self._on_end(ServiceGone(ENDED.format(code=exit_code), exit_code, self._last_lines))


def _buffered(pipe: Any) -> BinaryIO:
    return cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, pipe)))
