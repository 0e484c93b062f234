"""Whether a run file is there, and as it was when somebody looked last."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.store import beside

BACK_WITHIN_S = 5.0
UNDER_WAY = ("queued", "running")
# What a reader meets while somebody has taken the file, its log or its index away, until its writer has put them back.
_PASSING = frozenset({"no-such-file", "damaged", "unreadable", "truncated", "not-sqlite", "not-a-run-file"})
Mark = tuple[int, ...]


class Presence:
    """Of one run file, for whoever reads it again and again."""

    def __init__(self, path: Path, now: Callable[[], float] = time.monotonic) -> None:
        self._path, self._now = path, now
        self._gone_since: float | None = None

    def mark(self) -> Mark:
        """What differs as soon as anybody has written to the file."""
        marks: list[int] = []
        for file in (self._path, beside(self._path, "-wal")):
            try:
                found = file.stat()
            except OSError:
                marks.append(-1)
            else:
                marks += (found.st_ino, found.st_size, found.st_mtime_ns)
        return tuple(marks)

    def is_here(self) -> None:
        """It was read just now."""
        self._gone_since = None

    def may_come_back(self, error: RunFileError, recorded_status: str) -> bool:
        """Whether a reading that failed is no news yet: who writes a file puts it back where it was taken away."""
        if error.problem.code not in _PASSING or recorded_status not in UNDER_WAY:
            return False
        if self._gone_since is None:
            self._gone_since = self._now()
        return self._now() - self._gone_since < BACK_WITHIN_S
