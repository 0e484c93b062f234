"""Arrays that were read and may be wanted again, in bounded memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

A = TypeVar("A", bound=NDArray[Any])


class Held(Generic[A]):
    """Reads each array once while there is room; what was asked for longest ago makes room. For any thread."""

    def __init__(self, read: Callable[..., A], most: int, most_bytes: int) -> None:
        """At most so many arrays are held, of at most so many bytes together, but always one."""
        self._read, self._most, self._most_bytes = read, most, most_bytes
        self._arrays: OrderedDict[tuple[Hashable, ...], A] = OrderedDict()
        self._mutex = threading.Lock()
        self._bytes = 0

    def __call__(self, *which: Hashable) -> A:
        """The array that `read(*which)` gives."""
        with self._mutex:
            if which in self._arrays:
                self._arrays.move_to_end(which)
                return self._arrays[which]
        array = self._read(*which)  # not under the mutex: reading takes locks of its own
        with self._mutex:
            if which not in self._arrays:
                self._arrays[which] = array
                self._bytes += array.nbytes
            while len(self._arrays) > 1 and (len(self._arrays) > self._most or self._bytes > self._most_bytes):
                self._bytes -= self._arrays.popitem(last=False)[1].nbytes
        return array
