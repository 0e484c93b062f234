"""A sign of life beside a run file: whoever does a run touches the lock file once a second, and so says that it can.

A worker that is stopped, or whose machine has no time for it, holds its lock all the same: the run is `running`, and
nothing happens. A reader that has seen no sign for a while says so, and takes it back at the next one. It believes its
own steady clock alone, and only time in which it looked itself: no clock that is set, no other machine's, and no sleep
of this one makes a worker look dead. A lock held by somebody who promised no signs (a service, an older version) says
nothing of the kind. Who looks only once asks `silent`.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tfx_engine.runfile.lock import holder
from tfx_engine.runfile.store import beside

BEAT_S = 1.0
SILENT_S = 5.0  # without a sign for that long it is said
PROMISE = "beats_s"  # in the note of the lock: how often its holder gives a sign
_LOOK_S = 1.5  # of the time between two looks so much counts: a reader that slept itself has seen no silence
_GLANCE_S = 0.1
_Sign = tuple[int, int] | None


def beat(path: str | os.PathLike[str]) -> None:
    """Give a sign. Where that is not possible, none is given."""
    with contextlib.suppress(OSError):
        os.utime(beside(path, ".lock"))


class Pulse:
    """The signs of one run, for whoever looks once a second or more often."""

    def __init__(self, path: str | os.PathLike[str], now: Callable[[], float] = time.monotonic) -> None:
        self._path, self._now = Path(path), now
        self._mark: _Sign = None
        self._looked_at, self._silent_s = now(), 0.0

    def look(self) -> bool:
        """Whether the run responds, as far as anybody can see."""
        now, mark = self._now(), _newest(self._path)
        self._silent_s += min(now - self._looked_at, _LOOK_S)
        self._looked_at = now
        if mark is None or mark != self._mark:
            self._mark, self._silent_s = mark, 0.0
        return self._silent_s < SILENT_S or PROMISE not in holder(self._path)


def silent(paths: Iterable[Path], sleep: Callable[[float], None] = time.sleep) -> set[Path]:
    """Of runs that are running, those that do not respond, for somebody who looks only once.

    A sign of just now is believed at once, by its date. Where there is none such, this waits for the next one, for as
    long as any other reader (`SILENT_S`), and for all of them together.
    """
    signs = {path: _newest(path) for path in paths}
    waited_for = {path for path, sign in signs.items() if sign and not _is_fresh(sign) and PROMISE in holder(path)}
    for _ in range(round(SILENT_S / _GLANCE_S)):
        if not waited_for:
            break
        sleep(_GLANCE_S)
        waited_for = {path for path in waited_for if _newest(path) == signs[path]}
    return waited_for


def _is_fresh(sign: tuple[int, int]) -> bool:
    return 0 <= time.time() - sign[1] / 1e9 < 2 * BEAT_S


def _newest(path: Path) -> _Sign:
    """The newest sign of a run: which lock, and when; None where there is no lock."""
    try:
        found = beside(path, ".lock").stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
