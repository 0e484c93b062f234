"""What a run prints and logs goes into its run file, line by line."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

_STDERR = 2
_LONGEST_LINE = 10_000  # characters; a progress bar that never ends its line must not fill the file

Write = Callable[[str, str], None]  # (stream, text)


class LogCapture(AbstractContextManager["LogCapture"]):
    """Python's logging and, where `streams` is set, everything that reaches descriptor 2, also from C.

    The latter is for a process of its own. What is captured is passed on to the real stderr as well.
    """

    def __init__(self, write: Write, streams: bool) -> None:
        self._write, self._streams = write, streams
        self._handler = _Handler(write)

    def __enter__(self) -> LogCapture:
        logging.getLogger().addHandler(self._handler)
        if self._streams:
            logging.captureWarnings(True)
            sys.stderr.flush()
            self._real = os.dup(_STDERR)
            reader, writer = os.pipe()
            os.dup2(writer, _STDERR)
            os.close(writer)
            self._reader = threading.Thread(target=self._drain, args=(reader,), name="stderr", daemon=True)
            self._reader.start()
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger().removeHandler(self._handler)
        if self._streams:
            logging.captureWarnings(False)
            sys.stderr.flush()
            os.dup2(self._real, _STDERR)  # closes the pipe's writing end: the reader sees its end
            self._reader.join(1.0)
            os.close(self._real)

    def _drain(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "r", encoding="utf-8", errors="replace") as lines:
            while line := lines.readline(_LONGEST_LINE):
                os.write(self._real, line.encode("utf-8", "replace"))
                if line.strip():
                    self._write("stderr", line.rstrip())


class _Handler(logging.Handler):
    def __init__(self, write: Write) -> None:
        super().__init__()
        self._write = write

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._write("log", f"{record.levelname} {record.name}: {record.getMessage()}")
        except Exception:
            self.handleError(record)
