"""A copy of a run file and of what SQLite has beside it, where nobody else looks and SQLite may mend it."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from tfx_engine.runfile.store import beside, lies_beside


def copy_whole(path: Path, target: Path) -> None:
    """Copy it. Raises OSError, and at once where the disk has no room for it: a file may say that it is a terabyte."""
    sources = [beside(path, suffix) for suffix in ("", "-wal", "-journal") if lies_beside(path, suffix)]
    if sum(source.stat().st_size for source in sources) > shutil.disk_usage(target.parent).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target.parent))
    for source in sources:
        shutil.copyfile(source, beside(target, source.name.removeprefix(path.name)))
