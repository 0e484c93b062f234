"""Signals to end, heard at once: by a thread, since Python's own handlers wait until a long operation returns."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable

_TO_END = ("SIGTERM", "SIGINT", "SIGHUP")


def watch_signals(on_signal: Callable[[str], None]) -> None:
    """Call `on_signal` with the name of each signal that asks the process to end. To be called in the main thread."""
    watched = {getattr(signal, name) for name in _TO_END if hasattr(signal, name)}
    if sys.platform == "win32":  # no pipe can wake a thread there; a handler, then, as early as Python calls it
        for number in watched:
            signal.signal(number, lambda number, frame: on_signal(signal.Signals(number).name))
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in watched:
        signal.signal(number, lambda number, frame: None)  # the byte in the pipe says it
    threading.Thread(target=_listen, args=(reader, watched, on_signal), name="signals", daemon=True).start()


def _listen(reader: int, watched: set[signal.Signals], on_signal: Callable[[str], None]) -> None:
    while data := os.read(reader, 64):
        for byte in data:
            if byte in watched:
                on_signal(signal.Signals(byte).name)
