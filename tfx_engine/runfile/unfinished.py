"""Files that become what they are called only when they are whole, and what a kill leaves behind of them.

They are written in a folder beside, whose name says which file is being made and that it is not finished: whoever
writes may make temporary files of its own in it. What lies in such a folder is of no use to anybody.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from tfx_engine.protocol.private import FILE, FOLDER
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.tables import SUFFIX

_ENDING = ".unfinished"


@contextlib.contextmanager
def whole_or_not(path: Path) -> Iterator[Path]:
    """Where to write what is to be `path` in the end, for its owner alone; moved there unless something was raised.

    Raises OSError.
    """
    sweep(path.parent)
    folder = path.with_name(f".{path.name}.{os.getpid()}{_ENDING}")
    folder.mkdir(mode=FOLDER, exist_ok=True)
    try:
        yield folder / path.name
        (folder / path.name).chmod(FILE)  # whoever wrote it did as the umask says
        (folder / path.name).replace(path)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what writers that were killed left in a folder: those of runs that nobody writes any more."""
    for left in folder.glob(f".*{SUFFIX}.*{_ENDING}"):
        run = folder / f"{left.name.removeprefix('.').partition(SUFFIX)[0]}{SUFFIX}"
        if not is_locked(run):
            shutil.rmtree(left, ignore_errors=True)


def sweep_of(run: Path) -> None:
    """The same of one run, whose lock the caller holds."""
    for left in run.parent.glob(f".{run.name}.*{_ENDING}"):
        shutil.rmtree(left, ignore_errors=True)
