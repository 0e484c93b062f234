"""Which lines of a process hold more memory than before: what a leak is found with."""

from __future__ import annotations

import gc
import tracemalloc

_FRAMES = 1
_before: list[tracemalloc.Snapshot] = []


def begin() -> list[str]:
    """Begin to trace; what is allocated later is compared with now."""
    gc.collect()
    if not tracemalloc.is_tracing():
        tracemalloc.start(_FRAMES)
    _before[:] = [tracemalloc.take_snapshot()]
    return []


def growth(most: int = 25) -> list[str]:
    """The lines that hold more than when it began, the largest growth first."""
    gc.collect()
    found = tracemalloc.take_snapshot().compare_to(_before[0], "lineno")
    return [f"{stat.size_diff / 1024:+9.1f} KiB {stat.count_diff:+7d}  {stat.traceback[0]}" for stat in found[:most]]
