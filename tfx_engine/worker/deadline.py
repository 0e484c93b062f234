"""A run that must end does end: a thread that records it and leaves, should a step take longer than there is time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.status import Status
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.writer import RunWriter
from tfx_engine.train.control import StopFlag

GRACE_S = 2.0  # for the step under way; an interrupted run is over within five seconds, also on a busy machine
RECORDING_S = 1.0  # for writing it down
_LOOK_S = 0.1
_STEP = tr_mark("The step under way was cut off.")
_AUDIT = tr_mark("The audit was cut off.")


class Deadline:
    """While it is open (a context manager), an interruption that the run does not follow ends the process.

    `status`: how the run ends if it is cut off now: one that is complete but for its audit is finished.
    """

    def __init__(
        self, stop: StopFlag, writer: RunWriter, status: Callable[[], Status] = lambda: "interrupted"
    ) -> None:
        self._stop, self._writer, self._status = stop, writer, status
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
            status = self._status()
            what = _STEP if status == "interrupted" else _AUDIT
            self._writer.state(status, f"{self._stop.reason} {what}")
        except RunFileError:
            time.sleep(RECORDING_S)  # the disk refuses: what was committed is there, and the free lock says the rest
