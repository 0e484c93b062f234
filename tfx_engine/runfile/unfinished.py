"""Files that become what they are called only when they are whole, and what a kill leaves behind of them.

They are written in a folder beside, whose name says which file is being made and that it is not finished: whoever
writes may make temporary files of its own in it. What lies in such a folder is of no use to anybody.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from tfx_engine.protocol.private import FILE, FOLDER, new_private_file
from tfx_engine.runfile.errors import os_failure, write_failure
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.store import beside
from tfx_engine.runfile.tables import SUFFIX

_ENDING = ".unfinished"
_HALF = re.compile(rf"\..+{re.escape(SUFFIX)}\.[0-9a-f]{{8}}(-journal|-wal|-shm)?")
_HALF_FOR_S = 3600.0  # making a run file takes milliseconds, bringing one home from a spool minutes


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


def half_of(path: Path) -> Path:
    """A name beside a run file for what is to be moved there once it is whole."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")


@contextlib.contextmanager
def new_run_file(path: Path) -> Iterator[Path]:
    """A new empty file beside `path`, for its owner alone, to write what becomes `path` unless something is raised.

    Raises `RunFileError`, also for what SQLite or the system raised meanwhile.
    """
    half = half_of(path)
    try:
        new_private_file(half, b"")
        yield half
        half.replace(path)
    except sqlite3.Error as error:
        raise write_failure(error, path) from None
    except OSError as error:
        raise os_failure(error, path) from None
    finally:
        for left in (half, *(beside(half, suffix) for suffix in ("-journal", "-wal", "-shm"))):
            with contextlib.suppress(OSError):  # what could not be made there cannot be looked for either
                left.unlink(missing_ok=True)


def sweep_halves(folder: Path) -> None:
    """Remove what those left behind that were killed while they made a run file."""
    for entry in os.scandir(folder):
        if _HALF.fullmatch(entry.name):
            with contextlib.suppress(OSError):  # its maker has moved it, or swept it
                if time.time() - entry.stat().st_mtime > _HALF_FOR_S:
                    Path(entry.path).unlink()
