"""A clock that nobody sets, for durations: it goes on while the computer sleeps, where the system has such a clock."""

from __future__ import annotations

import time


def steady_s() -> float:
    """Seconds since some moment of this boot, the same for every process; on Linux sleep counts, elsewhere it may not.
    """
    boot_time = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot_time is None else time.clock_gettime(boot_time)
