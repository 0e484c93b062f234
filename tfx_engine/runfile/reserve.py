"""Room on the disk for a run's last words: a small file beside the run file, given up where the disk is full.

Without it a run that filled the disk could not even record that it was stopped.
"""

from __future__ import annotations

import os
from pathlib import Path

from tfx_engine.runfile.store import beside

SIZE = 2**17  # bytes; a state takes a handful of pages in the log
_SUFFIX = ".reserve"


def make(path: Path) -> None:
    """Keep room beside a run file; where there is none, do without."""
    file = beside(path, _SUFFIX)
    try:
        file.unlink(missing_ok=True)  # what a killed writer left; or a link, through which nothing is written
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    except OSError:
        return
    try:
        # Not zeros, which some file systems keep as nothing at all.
        is_whole = os.write(descriptor, os.urandom(SIZE)) == SIZE
    except OSError:
        is_whole = False
    finally:
        os.close(descriptor)
    if not is_whole:
        give_up(path)


def give_up(path: Path) -> bool:
    """Let go of the room beside a run file; whether any was kept there."""
    try:
        beside(path, _SUFFIX).unlink()
    except OSError:
        return False
    return True
