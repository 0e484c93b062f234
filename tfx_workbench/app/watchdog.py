"""How long the window made anybody wait: the latency of its event loop.

A thread posts an event every few milliseconds and notes when the loop took it. The difference is what a key press at
that moment would have waited.
"""

from __future__ import annotations

import dataclasses
import threading
import time

from PySide6.QtCore import QCoreApplication, QEvent, QObject

_EVERY_S = 0.01
_LOOK_S = 0.2
_EVENT = QEvent.Type(QEvent.registerEventType())


@dataclasses.dataclass(frozen=True)
class Latency:
    """Of the event loop, in milliseconds."""

    count: int
    median_ms: float
    p99_ms: float
    max_ms: float


class Watchdog(QObject):
    """Measures between `start` and `stop`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waits_ms: list[float] = []
        self._posted_at = 0.0
        self._taken = threading.Event()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin a new measurement."""
        self._waits_ms = []
        self._end.clear()
        self._thread = threading.Thread(target=self._post, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> Latency:
        """End the measurement; all zero where nothing was measured."""
        self._end.set()
        self._taken.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        return self.latency()

    def latency(self) -> Latency:
        """What was measured so far."""
        waits = sorted(self._waits_ms)
        if not waits:
            return Latency(0, 0.0, 0.0, 0.0)
        last = len(waits) - 1
        return Latency(len(waits), waits[last // 2], waits[min(last, round(0.99 * last))], waits[-1])

    def _post(self) -> None:
        while not self._end.wait(_EVERY_S):
            self._taken.clear()
            self._posted_at = time.perf_counter()
            QCoreApplication.postEvent(self, QEvent(_EVENT))
            while not self._taken.wait(_LOOK_S) and not self._end.is_set():  # `stop` may have come just before `clear`
                continue

    def event(self, event: QEvent) -> bool:
        """Note when the loop came to it."""
        if event.type() == _EVENT:
            self._waits_ms.append((time.perf_counter() - self._posted_at) * 1000)
            self._taken.set()
            return True
        return super().event(event)
