"""What the world tells a run: pause, resume, stop, probe. Set by other threads, looked at between steps only."""

from __future__ import annotations

import dataclasses
import queue
import threading

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.status import Status

ON_REQUEST = tr_mark("Stopped on request.")


@dataclasses.dataclass(frozen=True)
class ProbeRequest:
    """Somebody wants to see the attention now: all of it, or one head at full resolution."""

    layer: int | None = None
    head: int | None = None


class StopFlag:
    """Why a run is to end before its last step. The first word counts; an interruption counts even after a stop."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self.status: Status = "stopped"
        self.reason = ""
        self.is_interrupted = False  # the process must be gone within seconds

    def set(self, status: Status, reason: str) -> None:
        """End the run after the step under way, with this status."""
        with self._lock:
            if not self._event.is_set():
                self.status, self.reason = status, reason
            self.is_interrupted = self.is_interrupted or status == "interrupted"
            self._event.set()

    def is_set(self) -> bool:
        """Whether the run is to end."""
        return self._event.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait until it is set, at most so long; whether it is."""
        return self._event.wait(timeout_s)


class RunControl:
    """Stop, pause and probe requests of one run."""

    def __init__(self, stop: StopFlag | None = None) -> None:
        self.stop = stop or StopFlag()
        self._paused = threading.Event()
        self._requests: queue.SimpleQueue[ProbeRequest] = queue.SimpleQueue()

    def pause(self) -> None:
        """Hold before the next step."""
        self._paused.set()

    def resume(self) -> None:
        """Go on."""
        self._paused.clear()

    @property
    def paused(self) -> bool:
        """Whether the run holds, or is about to."""
        return self._paused.is_set()

    def ask(self, request: ProbeRequest) -> None:
        """Probe before the next step, also while paused."""
        self._requests.put(request)

    def requests(self) -> list[ProbeRequest]:
        """The requests that came since the last call."""
        found = []
        while True:
            try:
                found.append(self._requests.get_nowait())
            except queue.Empty:
                return found
