"""A run that one thread refreshes while another shows it.

`RunData` is for one thread at a time. Here every access takes the run's lock; the reading thread holds it only while it
takes in what a live run added, which is a few rows. Whoever paints takes the locks of all runs at once without waiting
(`try_hold`) and comes back a frame later where one is taken: the window never waits for a disk.
"""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfx_workbench.runs.progress import Progress
from tfx_workbench.runs.rundata import RunData
from tfx_workbench.runs.series import Floats, Series


class SharedRun(RunData):
    """A `RunData` with a lock about every method."""

    def __init__(self, path: str | Path) -> None:
        self.lock = threading.RLock()
        super().__init__(path)

    def refresh(self, is_patient: bool = True) -> frozenset[str]:
        with self.lock:
            return super().refresh(is_patient)

    def close(self) -> None:
        with self.lock:
            super().close()

    def series(self, *args: Any, **choices: Any) -> Series:
        with self.lock:
            return super().series(*args, **choices)

    def layers(self, *args: Any, **choices: Any) -> Any:
        with self.lock:
            return super().layers(*args, **choices)

    def device(self, *args: Any, **choices: Any) -> Series:
        with self.lock:
            return super().device(*args, **choices)

    def measured(self, column: str) -> Floats:
        with self.lock:
            return super().measured(column)

    def every_measured(self, column: str) -> Floats:
        with self.lock:
            return super().every_measured(column)

    def turns(self) -> dict[str, NDArray[Any]]:
        with self.lock:
            return super().turns()

    def progress(self) -> Progress:
        with self.lock:
            return super().progress()

    def summary(self) -> dict[str, Any]:
        with self.lock:
            return super().summary()

    def _extend(self, name: str, held: deque[Any], fresh: list[Any]) -> bool:
        """Events and their like are replaced, not extended: somebody may be going through them."""
        copy = deque(held, maxlen=held.maxlen)
        if super()._extend(name, copy, fresh):
            setattr(self, name, copy)
            return True
        return False

    def _read_attention(self, capture: int, layer: int) -> NDArray[np.float16]:
        with self.lock:
            return super()._read_attention(capture, layer)

    def _read_attention_tokens(self, capture: int) -> NDArray[np.int32] | None:
        with self.lock:
            return super()._read_attention_tokens(capture)


@contextlib.contextmanager
def try_hold(runs: Iterable[SharedRun]) -> Iterator[bool]:
    """Hold all these runs without waiting: True in the block where that worked, False where one was being read."""
    held: list[SharedRun] = []
    try:
        for run in runs:
            if not run.lock.acquire(blocking=False):
                yield False
                return
            held.append(run)
        yield True
    finally:
        for run in held:
            run.lock.release()
