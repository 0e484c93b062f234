"""How long a window makes anybody wait: the latency of its event loop.

A thread posts an event every few milliseconds and notes when the loop took it. The difference is what a key press at
that moment would have waited. On Linux it is also told how much of that was not the window's: time in which the loop's
thread could have gone on but other programs had the processor (its `schedstat`), or the hypervisor gave that processor
to other machines (`steal` in /proc/stat, in hundredths of a second).
"""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
import time
from pathlib import Path

from PySide6.QtCore import QCoreApplication, QEvent, QObject

_EVERY_S = 0.01
_LOOK_S = 0.2
_EVENT = QEvent.Type(QEvent.registerEventType())


@dataclasses.dataclass(frozen=True)
class Latency:
    """Of the event loop, in milliseconds. `own_max_ms`: the longest but for what others took meanwhile."""

    count: int
    median_ms: float
    p99_ms: float
    max_ms: float
    own_max_ms: float


class Taken:
    """What others had taken of the main thread's time, and of each processor's, up to now."""

    def __init__(self) -> None:
        self._waited_ms, self._stolen_ms = 0.0, dict[str, float]()
        if sys.platform == "linux":
            self._waited_ms = int(_read(f"/proc/self/task/{os.getpid()}/schedstat").split()[1]) / 1e6
            lines = (line.split() for line in _read("/proc/stat").splitlines() if line.startswith("cpu"))
            self._stolen_ms = {words[0]: 1000 * int(words[8]) / os.sysconf("SC_CLK_TCK") for words in lines}

    def since_ms(self, before: Taken) -> float:
        """How much of that since then, at the least: of the processor of which least was stolen."""
        stolen = [now - before._stolen_ms[name] for name, now in self._stolen_ms.items() if name != "cpu"]
        return self._waited_ms - before._waited_ms + min(stolen, default=0.0)


def _read(file: str) -> str:
    return Path(file).read_text(encoding="ascii")


class Watchdog(QObject):
    """Measures between `start` and `stop`."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._waits_ms: list[float] = []
        self._own_max_ms = 0.0
        self._posted_at = 0.0
        self._taken_before = Taken()
        self._taken = threading.Event()
        self._end = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin a new measurement."""
        self._waits_ms, self._own_max_ms = [], 0.0
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
            return Latency(0, 0.0, 0.0, 0.0, 0.0)
        last = len(waits) - 1
        p99_ms = waits[min(last, round(0.99 * last))]
        return Latency(len(waits), waits[last // 2], p99_ms, waits[-1], self._own_max_ms)

    def _post(self) -> None:
        while not self._end.wait(_EVERY_S):
            self._taken.clear()
            self._taken_before = Taken()
            self._posted_at = time.perf_counter()
            QCoreApplication.postEvent(self, QEvent(_EVENT))
            while not self._taken.wait(_LOOK_S) and not self._end.is_set():  # `stop` may have come just before `clear`
                continue

    def event(self, event: QEvent) -> bool:
        """Note when the loop came to it."""
        if event.type() == _EVENT:
            wait_ms = (time.perf_counter() - self._posted_at) * 1000
            self._waits_ms.append(wait_ms)
            if wait_ms > self._own_max_ms:
                self._own_max_ms = max(self._own_max_ms, wait_ms - Taken().since_ms(self._taken_before))
            self._taken.set()
            return True
        return super().event(event)
