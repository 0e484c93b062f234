"""Files of other versions: every released one opens, forever; a newer one is refused politely."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from tfx_engine.runfile.errors import failure
from tfx_engine.runfile.tables import SCHEMA_VERSION

# From a version to the next: views, as temporary tables of the reading connection, that make an old file look newer.
# The file itself is never changed. Version 1 is the first.
VIEWS: dict[int, Callable[[sqlite3.Connection], None]] = {}


def check_version(version: int, path: Path) -> None:
    """Raise `RunFileError` where a file is newer than this program, or of no version that there ever was."""
    if version > SCHEMA_VERSION:
        raise failure("newer-version", path, found=version, known=SCHEMA_VERSION)
    if version < 1:
        raise failure("not-a-run-file", path)


def make_current(connection: sqlite3.Connection, version: int) -> None:
    """Make a file of an older version readable as one of this version, on this connection alone."""
    for older in range(version, SCHEMA_VERSION):
        VIEWS[older](connection)
