"""What a run prints and logs goes into its run file, line by line."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

_STREAMS = (1, 2)  # in a worker, descriptor 1 is a second stderr: its real stdout belongs to the conversation
_LONGEST_LINE = 10_000  # characters; a progress bar that never ends its line must not fill the file

Write = Callable[[str, str], None]  # (stream, text)


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
            reader, writer = os.pipe()
            for stream in _STREAMS:
                os.dup2(writer, stream)
            os.close(writer)
            self._reader = threading.Thread(target=self._drain, args=(reader,), name="log", daemon=True)
            self._reader.start()
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger().removeHandler(self._handler)
        if self._streams:
            logging.captureWarnings(False)
            _flush()
            for real, stream in zip(self._real, _STREAMS, strict=True):
                os.dup2(real, stream)  # the last one closes the pipe's writing end: the reader sees its end
            self._reader.join(1.0)
            for real in self._real:
                os.close(real)

    def _drain(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "r", encoding="utf-8", errors="replace") as lines:
            while line := lines.readline(_LONGEST_LINE):
                os.write(self._real[-1], line.encode("utf-8", "replace"))
                if line.strip():
                    self._write("stderr", line.rstrip())


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
