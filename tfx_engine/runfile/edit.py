"""The little that may be changed in a run file that nobody is writing."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from tfx_engine.runfile.connect import connect
from tfx_engine.runfile.errors import write_failure
from tfx_engine.runfile.header import check_file
from tfx_engine.runfile.lock import RunLock
from tfx_engine.runfile.tables import insert
from tfx_engine.runfile.texts import storable
from tfx_engine.runfile.upgrade import bring_up_to_date

LONGEST_TAG = 60  # characters


def rename(path: str | os.PathLike[str], name: str) -> None:
    """Call a run something else. Raises `RunFileError`: no run file, in use, no permission, no space."""
    with _editing(Path(path)) as connection:
        connection.execute("UPDATE run SET name = ? WHERE id = 1", (storable(name),))


def annotate(path: str | os.PathLike[str], note: str | None = None, tags: Sequence[str] | None = None) -> None:
    """Replace the note of a run, its tags, or both; None leaves them. Raises `RunFileError` as `rename` does."""
    said = {}
    if note is not None:
        said["note"] = storable(note)
    if tags is not None:
        said["tags"] = msgspec.json.encode(cleaned(tags)).decode()
    with _editing(Path(path)) as connection:
        bring_up_to_date(connection)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(insert("annotation"), list(said.items()))
        connection.execute("COMMIT")


def cleaned(tags: Sequence[str]) -> list[str]:
    """Tags as they are kept: no commas, single blanks, none twice or too long, in the order given."""
    words = (" ".join(storable(tag).replace(",", " ").split())[:LONGEST_TAG] for tag in tags)
    return list(dict.fromkeys(word for word in words if word))


@contextmanager
def _editing(path: Path) -> Iterator[sqlite3.Connection]:
    check_file(path)
    with RunLock(path):
        try:
            with closing(connect(path)) as connection:
                yield connection
        except sqlite3.Error as error:
            raise write_failure(error, path) from None
