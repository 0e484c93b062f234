"""What a run prints and logs goes into its run file, line by line."""

from __future__ import annotations

import collections
import contextlib
import io
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

from tfx_engine.runfile.errors import RunFileError
from tfx_engine.worker.printed import end, open_sink

_STREAMS = (1, 2)  # in a worker, descriptor 1 is a second stderr: its real stdout belongs to the conversation
_LONGEST_LINE = 10_000  # characters; a progress bar that never ends its line must not fill the file
_ECHO_BYTES = 2**20  # waiting for a service that does not read

Write = Callable[[str, str], None]  # (stream, text)


def complain(error: RunFileError | None) -> None:
    """Print what hinders the run file, for whoever looks on: nothing can be recorded meanwhile."""
    if error is not None:
        with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
            sys.stderr.write(error.problem.sentence() + "\n")


class LogCapture(AbstractContextManager["LogCapture"]):
    """Python's logging and, where `streams` is set, all that is printed, also from C.

    The latter is for a process of its own. What is captured is passed on to the real stderr as well.
    """

    def __init__(self, write: Write, streams: bool) -> None:
        self._write, self._streams = write, streams
        self._handler = _Handler(write)

    def __enter__(self) -> LogCapture:
        logging.getLogger().addHandler(self._handler)
        if self._streams:
            logging.captureWarnings(True)
            _flush()
            self._real = [os.dup(stream) for stream in _STREAMS]
            self._echo = Echo(self._real[-1])
            sink, self._printed = open_sink()
            for stream in _STREAMS:
                os.dup2(sink, stream)
            os.close(sink)
            self._reader = threading.Thread(target=self._drain, args=(self._printed,), name="log", daemon=True)
            self._reader.start()
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger().removeHandler(self._handler)
        if self._streams:
            logging.captureWarnings(False)
            _flush()
            for real, stream in zip(self._real, _STREAMS, strict=True):
                os.dup2(real, stream)  # the last one closes a pipe's writing end: the reader sees its end
            self._reader.join(end(self._printed))
            self._echo.close(1.0)
            for real in self._real:
                os.close(real)

    def _drain(self, printed: io.RawIOBase) -> None:
        with io.TextIOWrapper(io.BufferedReader(printed), encoding="utf-8", errors="replace") as lines:
            while line := lines.readline(_LONGEST_LINE):
                if line.strip():
                    # Half of what reads SQLite ends a text at its first NUL.
                    self._write("stderr", line.rstrip().replace("\0", "\ufffd"))
                self._echo.put(line.encode("utf-8", "replace"))


class Echo:
    """Passes text on to a descriptor from a thread of its own, and drops what nobody reads in time.

    Behind the descriptor is the service. One that is stopped must not stop, through a full pipe, the training that
    happens to print something.
    """

    def __init__(self, descriptor: int, most_bytes: int = _ECHO_BYTES) -> None:
        self._descriptor, self._most_bytes = descriptor, most_bytes
        self._waiting: collections.deque[bytes] = collections.deque()
        self._bytes = 0
        self._is_closing = self._is_over = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="echo", daemon=True)
        self._thread.start()

    def put(self, text: bytes) -> None:
        """Pass it on when that is possible, or not at all. Never waits."""
        with self._changed:
            if self._bytes + len(text) <= self._most_bytes:
                self._waiting.append(text)
                self._bytes += len(text)
                self._changed.notify()

    def close(self, patience_s: float) -> None:
        """Write what waits, if that takes no longer; after that nothing is written any more."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        self._thread.join(patience_s)
        with self._changed:
            self._is_over = True  # the number of the descriptor may soon be another file's

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closing)
                if self._is_over or not self._waiting:
                    return
                text = self._waiting.popleft()
                self._bytes -= len(text)
            try:
                os.write(self._descriptor, text)
            except OSError:
                return  # the service is gone: nobody will read any more


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # None in a frozen program without a console
            stream.flush()


class _Handler(logging.Handler):
    def __init__(self, write: Write) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write("log", f"{record.levelname} {record.name}: {self.format(record)}")  # with its traceback
        except Exception:
            self.handleError(record)
