"""The little that may be changed in a run file that nobody is writing."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from tfx_engine.runfile.connect import connect
from tfx_engine.runfile.errors import write_failure
from tfx_engine.runfile.header import check_file
from tfx_engine.runfile.lock import RunLock
from tfx_engine.runfile.texts import storable


def rename(path: str | os.PathLike[str], name: str) -> None:
    """Call a run something else. Raises `RunFileError`: no run file, in use, no permission, no space."""
    path = Path(path)
    check_file(path)
    with RunLock(path):
        try:
            with closing(connect(path)) as connection:
                connection.execute("UPDATE run SET name = ? WHERE id = 1", (storable(name),))
        except sqlite3.Error as error:
            raise write_failure(error, path) from None
