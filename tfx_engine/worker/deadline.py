"""A run that must end does end: a thread that records it and leaves, should a step take longer than there is time."""

from __future__ import annotations

import os
import threading
import time

from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.train.control import StopFlag

GRACE_S = 2.0  # for the step under way; an interrupted run is over within five seconds, also on a busy machine
RECORDING_S = 1.0  # for writing it down
_LOOK_S = 0.1


class Deadline:
    """While it is open (a context manager), an interruption that the run does not follow ends the process."""

    def __init__(self, stop: StopFlag, writer: RunWriter) -> None:
        self._stop, self._writer = stop, writer
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="deadline", daemon=True)

    def __enter__(self) -> Deadline:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_interrupted:
            if self._over.wait(_LOOK_S):
                return
        if self._over.wait(GRACE_S):
            return
        recording = threading.Thread(target=self._record, daemon=True)
        recording.start()
        recording.join(RECORDING_S)
        os._exit(1)

    def _record(self) -> None:
        try:
            self._writer.state("interrupted", f"{self._stop.reason} The step under way was cut off.")
        except RunFileError:
            time.sleep(RECORDING_S)  # the disk refuses: what was committed is there, and the free lock says the rest
