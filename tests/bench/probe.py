"""The probe in a window's process: it waits for moments, takes the time of them, and tells the parent."""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QAbstractEventDispatcher, QEvent, QObject, QTimer

from tfx_workbench.app.window import MainWindow

if TYPE_CHECKING:
    from tests.helpers.watchdog import Watchdog

CLOSE_AFTER_S = 280.0  # whatever happens, the process ends


def fatal(function: Callable[[], None]) -> Callable[[], None]:
    """End the process where the probe itself fails: the program would only log it, and the parent would wait."""

    def guarded() -> None:
        try:
            function()
        except BaseException:
            traceback.print_exc()
            os._exit(1)

    return guarded


class Probe(QObject):
    """Looks at one window from its first event on."""

    def __init__(self, window: MainWindow, spawned_at: float, options: dict[str, Any]) -> None:
        super().__init__(window)
        self.window, self.options, self._spawned_at = window, options, spawned_at
        self.painted_s = self.begun_s = 0.0
        self._paint_handlers: list[tuple[QObject, Callable[[], None]]] = []
        window.begun.connect(self._on_begun)
        window.installEventFilter(self)
        QTimer.singleShot(int(CLOSE_AFTER_S * 1000), window.close)

    def now_s(self) -> float:
        """Seconds since the process was started."""
        return time.monotonic() - self._spawned_at

    def say(self, what: str, **figures: Any) -> None:
        """Tell the parent."""
        print(json.dumps({"what": what, "at_s": self.now_s(), **figures}), flush=True)

    def rss_bytes(self) -> int:
        """Memory of this process that is in RAM."""
        import psutil  # here: it must not count as start-up

        return int(psutil.Process().memory_info().rss)

    def watch(self) -> Watchdog:
        """Begin to measure how long the event loop makes anybody wait; `stop` it with `figures_of`."""
        from tests.helpers.watchdog import Watchdog

        watchdog = Watchdog(self)
        watchdog.start()
        return watchdog

    def end(self) -> None:
        """Close the window; the program ends."""
        QTimer.singleShot(0, self.window.close)

    def _on_begun(self) -> None:
        self.begun_s = self.now_s()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        if watched is self.window and event.type() == QEvent.Type.Paint and not self.painted_s:
            self.painted_s = self.now_s()
        return False

    def when_idle(self, then: Callable[[], None]) -> None:
        """Call `then` when the event loop, the window being painted and begun, first has nothing more to do."""
        dispatcher = QAbstractEventDispatcher.instance()

        @fatal
        def look() -> None:
            if self.painted_s and self.begun_s and self.window.windowHandle().isExposed():
                dispatcher.aboutToBlock.disconnect(look)
                then()

        dispatcher.aboutToBlock.connect(look)

    def wait_until(self, holds: Callable[[], bool], then: Callable[[], None], every_ms: int = 5) -> None:
        """Call `then` as soon as `holds()` is true."""
        timer = QTimer(self)

        @fatal
        def look() -> None:
            if holds():
                timer.stop()
                then()

        timer.timeout.connect(look)
        timer.start(every_ms)


def waited_s() -> float:
    """How long this thread could have gone on but other processes had the processor; NaN where nobody counts that."""
    try:
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except OSError:
        return float("nan")


def figures_of(watchdog: Watchdog) -> dict[str, float]:
    """End the measurement; what `Probe.say` says of it."""
    found = watchdog.stop()
    return {"samples": found.count, "median_ms": found.median_ms, "p99_ms": found.p99_ms, "max_ms": found.max_ms}
