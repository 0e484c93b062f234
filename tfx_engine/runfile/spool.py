"""Run files on a network file system: recorded on a local disk, moved at the end.

SQLite's write-ahead log needs memory that all its processes share, which a network file system cannot give. So the
writer records into a local copy, and a small file beside the run file (`run.tfx.spool`) says where: readers on this
machine follow it, live, and after a kill `seal` finds by it what has to be brought home.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import tempfile
import uuid
from pathlib import Path

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.plain_file import read_plain
from tfx_engine.protocol.private import make_private_folder
from tfx_engine.protocol.whole import write_whole
from tfx_engine.runfile.errors import os_failure
from tfx_engine.runfile.store import beside, default_store, is_network_filesystem, side_files
from tfx_engine.runfile.unfinished import new_run_file

SPOOLED = tr_mark(
    "The store lies on a network file system: the run is recorded in {folder} and moved to the store at its end."
)
_SUFFIX = ".spool"
_NOTE_BYTES = 65536  # more than any path has
_FOLDERS = re.compile(r"spool|tfx-workbench-spool-\d+")
_COPY = re.compile(r"[0-9a-f]{32}")


def recorded_at(path: Path) -> Path:
    """Where the rows of a run file are: in the file itself, or in the local copy that stands in for it."""
    try:
        said = json.loads(read_plain(beside(path, _SUFFIX), _NOTE_BYTES))
        local = Path(said["file"])
        is_here = said["host"] == socket.gethostname() and local.name == path.name
        return local if is_here and _is_own(local) else path
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return path  # none, or one that says nothing


def _is_own(local: Path) -> bool:
    """Whether `begin` made it, for this user: anybody may have written the file that names it, to have read or moved
    what is none of theirs.
    """
    is_ours = _FOLDERS.fullmatch(local.parent.parent.name) and _COPY.fullmatch(local.parent.name)
    return bool(is_ours) and local.is_file() and (os.name == "nt" or local.stat().st_uid == os.getuid())


def begin(path: Path) -> Path:
    """Where the holder of the lock shall record: the file itself, or a local copy if it lies on a network file system.

    Raises `RunFileError` where a copy cannot be made.
    """
    local = recorded_at(path)
    if local != path or not is_network_filesystem(path):
        return local
    try:
        local = _folder() / uuid.uuid4().hex / path.name
        local.parent.mkdir(mode=0o700)
        shutil.copy(path, local)
        said = {"host": socket.gethostname(), "file": str(local)}
        write_whole(beside(path, _SUFFIX), json.dumps(said).encode())
    except OSError as error:
        raise os_failure(error, path) from None
    return local


def _folder() -> Path:
    """A folder on a local disk that outlives a restart of the machine, if there is one."""
    folder = default_store().parent / "spool"
    if is_network_filesystem(folder):
        folder = Path(tempfile.gettempdir()) / f"tfx-workbench-spool-{os.getuid() if hasattr(os, 'getuid') else 0}"
    make_private_folder(folder)
    return folder


def end(local: Path, path: Path) -> None:
    """Move a sealed local copy to where the run file belongs; nothing to do where it is there already.

    Raises `RunFileError` where it cannot be written there: the copy stays, and is found again.
    """
    if local == path:
        return
    with new_run_file(path) as half:
        shutil.copyfile(local, half)
        with half.open("rb+") as file:
            os.fsync(file.fileno())
    beside(path, _SUFFIX).unlink(missing_ok=True)
    for ours in (local, *side_files(local)):
        ours.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # something else is in it, which is not for us to take away
        local.parent.rmdir()
