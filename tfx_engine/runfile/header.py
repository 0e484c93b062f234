"""What the first hundred bytes of a file say, before SQLite is asked: most wrong files are told apart here.

Source of the offsets: https://www.sqlite.org/fileformat2.html#the_database_header
"""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path
from typing import NamedTuple

from tfx_engine.runfile.errors import failure, words
from tfx_engine.runfile.store import beside, lies_beside
from tfx_engine.runfile.tables import APPLICATION_ID
from tfx_engine.runfile.upgrade import check_version

_MAGIC = b"SQLite format 3\0"
_SIZE = 100
_WAL = 2
_OF_SQLITE = ("-journal", "-wal", "-shm")


class Header(NamedTuple):
    """Of an SQLite file that is a run file."""

    version: int  # of the file alone: its log may bring a newer one
    is_wal: bool  # it may have a log beside it that belongs to it
    identity: tuple[int, int]  # device and number of the file


def check_file(path: str | os.PathLike[str]) -> Header:
    """The header of a run file. Raises `RunFileError` where it is none, is newer than this program, or is cut off."""
    path = Path(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # a pipe would make us wait for ever
            raise failure("not-a-file", path)
        with path.open("rb") as file:
            head = file.read(_SIZE)
    except FileNotFoundError:
        raise failure("no-such-file", path) from None
    except OSError as error:
        raise failure("unreadable", path, error=words(error)) from None
    if len(head) < _SIZE or not head.startswith(_MAGIC):
        if head and _MAGIC.startswith(head[: len(_MAGIC)]):
            raise failure("truncated", path, found=len(head), expected=_SIZE)
        raise failure("not-sqlite", path)
    (version,) = struct.unpack_from(">i", head, 60)
    (application,) = struct.unpack_from(">I", head, 68)
    if application != APPLICATION_ID:
        raise failure("not-a-run-file", path)
    check_version(version, path)
    is_wal = _WAL in (head[18], head[19])
    _refuse_what_would_hold_us(path)
    # With a log beside it, a checkpoint may be growing the file at this moment; with a journal, somebody who grew it
    # may have been killed after the page that has its new size, which SQLite takes back.
    if not lies_beside(path, "-wal") and not lies_beside(path, "-journal"):
        _check_size(path, head, status.st_size)
    return Header(version, is_wal, (status.st_dev, status.st_ino))


def _refuse_what_would_hold_us(path: Path) -> None:
    """SQLite opens what lies beside a file, and would wait for ever where that is a pipe."""
    for suffix in _OF_SQLITE:
        try:
            mode = os.lstat(beside(path, suffix)).st_mode
        except OSError:  # there is none
            continue
        if not stat.S_ISREG(mode):
            raise failure("beside-not-a-file", path, name=beside(path, suffix).name)


def is_of_a_run(path: str | os.PathLike[str]) -> bool:
    """Whether a plain file begins as a run file does, of whatever version, and whole or not."""
    path = Path(path)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return False
        with path.open("rb") as file:
            head = file.read(_SIZE)
    except (OSError, ValueError):
        return False
    return len(head) == _SIZE and head.startswith(_MAGIC) and struct.unpack_from(">I", head, 68)[0] == APPLICATION_ID


def _check_size(path: Path, head: bytes, size: int) -> None:
    (page_size,) = struct.unpack_from(">H", head, 16)
    changes, pages = struct.unpack_from(">I", head, 24)[0], struct.unpack_from(">I", head, 28)[0]
    is_pages_valid = struct.unpack_from(">I", head, 92)[0] == changes and pages > 0
    expected = (65536 if page_size == 1 else page_size) * pages
    if is_pages_valid and size < expected:
        raise failure("truncated", path, found=size, expected=expected)


def is_sealed(path: str | os.PathLike[str]) -> bool:
    """Whether a run file is one file again: nothing beside it belongs to it."""
    return not (check_file(path).is_wal or lies_beside(path, "-wal") or lies_beside(path, "-journal"))
