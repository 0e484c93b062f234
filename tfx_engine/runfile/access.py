"""Short read transactions on a run file: what `reader` is built on."""

from __future__ import annotations

import operator
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self, SupportsIndex

import msgspec
import numpy as np
from numpy.typing import NDArray

from tfx_engine.runfile.errors import write_failure
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.snapshot import Opener, as_words, reading_failure
from tfx_engine.runfile.tables import STEP_INTEGERS, STEP_WORDS

LIMIT = 100_000  # rows that a reading returns unless told otherwise
_DATA_ERRORS = (ValueError, TypeError, OverflowError, KeyError, RecursionError, msgspec.MsgspecError)
_WORDS = frozenset(STEP_WORDS)
_INTEGERS = frozenset({"seq", *STEP_INTEGERS})
# What is counted and timed; a figure beyond these powers of ten is a damaged one: no reading, and nothing overflows.
_FINITE = frozenset({"t_ms", "step_ms", "tokens", "allocated_bytes", "reserved_bytes", "device_bytes", "rss_bytes"})
_LARGEST = 1e18
_NOT_WRITTEN = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC,
                sqlite3.SQLITE_IOERR_TRUNCATE)


class FileAccess:
    """One run file, open only while something is being read. Safe in any thread."""

    def __init__(self, path: str | os.PathLike[str], look: bool = True) -> None:
        """`look`: open the file now to see that it can be read, rather than at the first reading."""
        self.path = Path(path)
        self.was_locked = False  # just before the present snapshot
        self._opener = Opener(self.path)
        self._mutex = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        if look:
            with self.snapshot():
                pass

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All reading in the block sees the file as it is now, and pays for opening it once. Keep it short."""
        with self._mutex:
            if self._connection is not None:
                yield
                return
            try:
                self.was_locked = is_locked(self.path)
                self._connection = self._opener.open()
                yield
            except (sqlite3.Error, UnicodeDecodeError) as error:  # SQLite's own message may quote what is no text
                raise reading_failure(error, self.path) from error
            finally:
                if self._connection is not None:
                    self._connection.close()
                    self._connection = None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A snapshot in which data that cannot be are the file's fault."""
        with self.snapshot():
            try:
                yield
            except _DATA_ERRORS as error:
                raise reading_failure(error, self.path) from error

    def rows(self, sql: str, *arguments: SupportsIndex) -> list[tuple[Any, ...]]:
        """All rows of a SELECT, within `reading`; its arguments are whole numbers, numpy's too."""
        assert self._connection is not None, "within a snapshot"
        self._opener.allow_time()
        # Left as they are, numpy's integers would be taken for blobs, and compare with nothing.
        return self._connection.execute(sql, tuple(map(operator.index, arguments))).fetchall()

    def backup(self, target: sqlite3.Connection, file: Path) -> None:
        """A complete copy into another database, also while the run is live.

        Raises `RunFileError`, of the copy, which becomes `file`, where it is that which cannot be written.
        """
        with self.snapshot():
            assert self._connection is not None
            try:
                self._connection.backup(target)
            except sqlite3.Error as error:
                if error.sqlite_errorcode in _NOT_WRITTEN:
                    raise write_failure(error, file) from None
                raise

    def close(self) -> None:
        """Nothing stays open between calls but, of a file on a read-only disk, a private copy."""
        with self._mutex:
            self._opener.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def arrays(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> dict[str, NDArray[Any]]:
    """Rows as columns: words as objects, what counts as int64, readings as float64 with NaN where there is none."""
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    return {name: _array(name, values) for name, values in zip(names, columns, strict=True)}


def _array(name: str, values: Sequence[Any]) -> NDArray[Any]:
    if name in _WORDS:
        array = np.empty(len(values), dtype=object)
        array[:] = [None if v is None else as_words(v) for v in values]
        return array
    if name in _INTEGERS:
        return np.array(values, dtype=np.int64)
    array = np.array(values, dtype=np.float64)
    if name in _FINITE:
        size = np.abs(array)
        array[(size > _LARGEST) | ((size > 0) & (size < 1 / _LARGEST))] = np.nan
        if name == "t_ms" and np.isnan(array).any():
            raise ValueError("a time that no clock shows")
    return array
