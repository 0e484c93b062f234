"""Reading small files that anybody may have put there: a pipe does not hold us, a huge one does not fill the memory."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

LARGEST = 2**26  # bytes; what the program keeps in one file is smaller by far
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)


def read_plain(path: Path, most: int = LARGEST) -> bytes:
    """The first `most` bytes of a plain file. Raises OSError, also where it is a folder, a pipe or a device."""
    descriptor = os.open(path, _FLAGS)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Not a plain file", str(path))
        return file.read(most)
