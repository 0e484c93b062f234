"""How the C library keeps the memory that a window gives back.

A window that shows a live run makes and frees arrays of some hundred kilobytes all the time, in two threads. By default
glibc raises the size up to which such blocks come from its heaps as it goes (to 32 MiB) and gives each thread a heap of
its own; these grow for hours, as what is freed lies between what stays.
Source: https://man7.org/linux/man-pages/man3/mallopt.3.html
"""

from __future__ import annotations

import ctypes
import os

_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1  # of malloc.h
_BLOCK_BYTES = 128 * 1024  # glibc's own first threshold; told it once, it stays there


def settle() -> bool:
    """Have large blocks go back to the system at once, and one heap for all threads; whether that was taken.

    Only glibc knows how; whoever has set MALLOC_... variables is left alone.
    """
    is_decided = any(name.startswith("MALLOC_") for name in os.environ)
    if is_decided or "CS_GNU_LIBC_VERSION" not in getattr(os, "confstr_names", {}):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return all([mallopt(_ARENA_MAX, 1), mallopt(_MMAP_THRESHOLD, _BLOCK_BYTES), mallopt(_TRIM_THRESHOLD, _BLOCK_BYTES)])
