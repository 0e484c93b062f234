"""Where a worker's own stdout and stderr lead to while it does a run, and how that is read.

On Linux that is a file in memory, read by a thread that looks for more twenty times a second. A pipe would do for a
polite printer; but C code often keeps Python from running while it works, so that nobody could empty a full pipe, and
it would wait for ever. What was read is given back; what comes faster than it can be read is left out, which is said.
Elsewhere it is a pipe.
"""

from __future__ import annotations

import ctypes
import io
import os
import sys
import threading
from typing import Any

_PERIOD_S = 0.05
_MOST_WAITING = 2**26  # bytes that may wait to be read; a printer without end must not fill the memory
_KEPT = 2**20  # of them, where there are more: the newest
_FREE_EVERY = 2**20  # bytes that were read
_KEEP_SIZE, _PUNCH_HOLE = 1, 2  # of fallocate(2)


def open_sink() -> tuple[int, io.RawIOBase]:
    """(the descriptor to print to, what reads it). The reader ends when `stop` is called, or the pipe is closed."""
    if sys.platform == "linux":
        descriptor = os.memfd_create("printed")
        if _give_back(descriptor, 0, 1):
            return descriptor, Tail(descriptor)
        os.close(descriptor)  # a kernel without that
    reader, writer = os.pipe()
    return writer, io.FileIO(reader, "r")


def end(reader: io.RawIOBase) -> float:
    """The run prints no more: the reader ends with what there is; for how many seconds that is worth waiting for.

    Of a pipe it sees the end itself, or never, where a process that was left behind holds it open.
    """
    if not isinstance(reader, Tail):
        return 1.0
    reader.end()
    return 20.0


class Tail(io.RawIOBase):
    """Reads a file to which others append, until `end`."""

    def __init__(self, descriptor: int, most_waiting: int = _MOST_WAITING) -> None:
        self._descriptor, self._most_waiting = os.dup(descriptor), most_waiting
        self._at = self._freed = 0
        self._over = threading.Event()
        self._said = b""  # of what was left out

    def readable(self) -> bool:
        return True

    def end(self) -> None:
        """Nobody writes any more."""
        self._over.set()

    def readinto(self, buffer: Any) -> int:
        """Waits until there is something; 0 at the end."""
        while True:
            is_over = self._over.is_set()  # before the look, so that what came first is read
            found = self._said or self._read(len(buffer))
            if found:
                taken = found[:len(buffer)]
                self._said = self._said[len(taken):]
                buffer[:len(taken)] = taken
                return len(taken)
            if is_over:
                return 0
            self._over.wait(_PERIOD_S)

    def _read(self, most: int) -> bytes:
        waiting = os.fstat(self._descriptor).st_size - self._at
        if waiting > self._most_waiting:
            left_out = waiting - _KEPT
            self._at += left_out
            self._said = f"\n[{left_out} bytes that were printed too fast are left out]\n".encode()
            self._free()
            return self._said
        found = os.pread(self._descriptor, min(most, waiting), self._at) if waiting > 0 else b""
        self._at += len(found)
        if self._at - self._freed >= _FREE_EVERY:
            self._free()
        return found

    def _free(self) -> None:
        _give_back(self._descriptor, self._freed, self._at - self._freed)
        self._freed = self._at

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


def _give_back(descriptor: int, begin: int, size: int) -> bool:
    """Free the memory of what was read; offsets stay as they are."""
    libc = ctypes.CDLL(None)
    arguments = (ctypes.c_int(descriptor), ctypes.c_int(_KEEP_SIZE | _PUNCH_HOLE),
                 ctypes.c_int64(begin), ctypes.c_int64(size))
    function = getattr(libc, "fallocate64", None) or getattr(libc, "fallocate", None)
    return function is not None and function(*arguments) == 0
