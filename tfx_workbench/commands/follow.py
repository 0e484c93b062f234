"""Watch runs through their run files until each has ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tfx_engine.protocol.status import ENDED
from tfx_engine.runfile.pulse import Pulse
from tfx_workbench.commands.progressbar import ProgressBar
from tfx_workbench.runs.rundata import RunData

POLL_S = 0.05
SETTLE_S = 6.0  # within this time workers end by themselves when their service is gone

OnEnd = Callable[[RunData], None]


class Follower:
    """Follows runs in the order of the queue; `on_end` is called with each run once, as it ends.

    `gone` is set by whoever sees that the service is gone: then queued runs are not waited for. `before`: how many runs
    of the same undertaking ended earlier; `all_runs`: how many it has.
    """

    def __init__(
        self, paths: Sequence[Path], on_end: OnEnd, gone: threading.Event, before: int = 0, all_runs: int | None = None
    ) -> None:
        self._waiting = list(paths)
        self._count = len(paths) + before
        self._on_end = on_end
        self._gone = gone
        self._bar = ProgressBar(all_runs or self._count)

    def follow(self, timeout_s: float | None = None) -> None:
        """Return when all runs have ended, or were given up after `timeout_s`."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self._waiting:
            if deadline is None and self._gone.is_set():
                deadline = time.monotonic() + SETTLE_S
            run = RunData(self._waiting[0])
            try:
                if self._watch(run, deadline):
                    self._waiting.pop(0)
                    self._bar.clear()
                    self._on_end(run.load())
            finally:
                run.close()

    def _watch(self, run: RunData, deadline: float | None) -> bool:
        """Wait for the end of one run; False where the service went and there is no deadline yet."""
        number, pulse = self._count - len(self._waiting) + 1, Pulse(run.path)
        while True:
            run.refresh()
            # An abandoned run reads as interrupted at once; its recorded state comes with the reason in words.
            if run.info.recorded_status in ENDED or (deadline is not None and time.monotonic() >= deadline):
                return True
            if deadline is None and self._gone.is_set():
                return False
            responds = pulse.look() or run.info.status != "running"
            self._bar.show(number, run, responds)
            time.sleep(POLL_S)
