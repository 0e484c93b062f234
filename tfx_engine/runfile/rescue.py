"""What can still be read of a damaged or cut-off run file, as a new one that is sound. The damaged one is left alone.

Rollups are not copied but made anew from the steps, which are numbered anew where some are missing between others.
"""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.status import ENDED
from tfx_engine.runfile import conversion
from tfx_engine.runfile.arrays import unpack
from tfx_engine.runfile.create import utc_now
from tfx_engine.runfile.errors import RunFileError, failure, os_failure, primary_code, words
from tfx_engine.runfile.header import check_file, is_of_a_run
from tfx_engine.runfile.leftovers import Leftovers, columns_of
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.outcome import INTERRUPTED
from tfx_engine.runfile.plausible import check_facts
from tfx_engine.runfile.private_copy import copy_whole
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rollup import Rollups, reading
from tfx_engine.runfile.spool import recorded_at
from tfx_engine.runfile.suspicion import check_schema, harden
from tfx_engine.runfile.tables import COLUMNS, LAYER_COLUMNS, insert, schema
from tfx_engine.runfile.texts import json_text
from tfx_engine.runfile.unfinished import new_run_file

_RESCUED = tr_mark("Rescued from a damaged file: {rows} rows. Not all could be read of: {tables}.")
_WHOLE = tr_mark("Rescued from a damaged file: {rows} rows; nothing was found to be missing.")
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_IOERR)
_COPIED = tuple(name for name in COLUMNS if name not in ("step", "rollup"))
# What a reader must be able to read of each table in the end.
_READ: dict[str, Callable[[RunReader], object]] = {
    "fact": RunReader.facts, "missing": RunReader.missing, "prediction": RunReader.predictions,
    "step": RunReader.steps, "memory_probe": RunReader.memory_probes, "evaluation": RunReader.evaluations,
    "attention": RunReader.attention_captures, "device_sample": RunReader.device_samples, "event": RunReader.events,
    "log": RunReader.logs, "audit": RunReader.audit, "profile_part": RunReader.profile_parts,
    "operator": RunReader.operators, "kernel": RunReader.kernels, "annotation": RunReader.annotations,
    "memory_block": RunReader.memory_blocks,
}


class Rescued(NamedTuple):
    """The new file, how many rows of each table are in it, and of which tables not everything could be read."""

    path: Path
    rows: dict[str, int]
    damaged: tuple[str, ...]


def rescue(path: str | os.PathLike[str], target: str | os.PathLike[str]) -> Rescued:
    """Write what can be read of one run file into a new one.

    Raises `RunFileError`: it is no run file, newer, in use, or not even its configuration can be read; the target
    exists or cannot be written.
    """
    path, target = Path(path), Path(target)
    if os.path.lexists(target):  # which, unlike Path, says no where it may not look
        raise failure("exists", target)
    _refuse_what_is_none(path)
    with new_run_file(target) as half:
        rescued = _rescue_into(half, path)
    return rescued._replace(path=target)


def _refuse_what_is_none(path: Path) -> None:
    try:
        check_file(path)
    except RunFileError as error:
        if error.problem.code != "truncated" or not is_of_a_run(path):
            raise
    if is_locked(path):
        raise failure("in-use", path, who="")


def _rescue_into(half: Path, path: Path) -> Rescued:
    with (
        tempfile.TemporaryDirectory(prefix="tfx-rescue-") as folder,
        closing(_open_copy(path, Path(folder))) as source,
        closing(sqlite3.connect(half)) as target,
    ):
        damaged = _copy(Leftovers(source), target, path)
    damaged |= _emptied(half)
    with closing(sqlite3.connect(half)) as target, target:
        rows = {name: int(target.execute(f"SELECT COUNT(*) FROM {name}").fetchone()[0]) for name in COLUMNS}
        target.execute(insert("event"), _event(sum(rows.values()), damaged))
    return Rescued(half, rows, tuple(name for name in COLUMNS if name in damaged))


def _open_copy(path: Path, folder: Path) -> sqlite3.Connection:
    """A connection to a copy, which SQLite may mend by what lies beside it."""
    local, copy = recorded_at(path), folder / "run.tfx"
    try:
        copy_whole(local, copy)
    except OSError as error:
        raise os_failure(error, folder) if error.errno == errno.ENOSPC else failure(
            "unreadable", path, error=words(error)) from None
    connection = sqlite3.connect(copy, isolation_level=None)
    try:
        harden(connection)
        if sys.version_info >= (3, 12):
            connection.setconfig(sqlite3.SQLITE_DBCONFIG_DEFENSIVE, False)  # which would refuse the next line
        # Where the schema may be written to, the file need not be as long as its header says.
        connection.execute("PRAGMA writable_schema = ON")
        check_schema(connection, path, int(connection.execute("PRAGMA user_version").fetchone()[0]))
    except (sqlite3.Error, RunFileError) as error:
        is_wrong = isinstance(error, sqlite3.Error) and primary_code(error) not in _DAMAGE
        if is_wrong or (isinstance(error, RunFileError) and error.problem.code != "damaged"):
            connection.close()
            raise
    return connection


def _copy(source: Leftovers, target: sqlite3.Connection, path: Path) -> set[str]:
    """Copy every row that is left; the names of the tables that lost some."""
    target.executescript(f"BEGIN; {schema()} COMMIT;")
    with target:
        _copy_run(source, target, path)
        _copy_steps(source, target)
        for table in _COPIED:
            columns = {column.name: column for column in columns_of(target, table)}
            for row in source.rows(table, [columns[name] for name in COLUMNS[table]]):
                try:
                    if table == "fact":
                        check_facts({row[0]: json.loads(row[1])})
                    target.execute(insert(table), row)
                except (sqlite3.IntegrityError, ValueError):
                    source.damaged.add(table)
    return source.damaged


def _copy_run(source: Leftovers, target: sqlite3.Connection, path: Path) -> None:
    """The run's own row; without its configuration nothing else means anything."""
    columns = columns_of(target, "run")
    found = next(iter(source.rows("run", columns)), None)
    if found is None:
        raise failure("damaged", path, error="not even its configuration can be read")
    row = dict(zip((column.name for column in columns), found, strict=True))
    if row["status"] not in ENDED:
        row |= {"status": "interrupted", "reason": INTERRUPTED}
    try:
        target.execute(f"INSERT INTO run ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values()))
    except sqlite3.IntegrityError as error:
        raise failure("damaged", path, error=f"the row of the run itself is not to be used ({words(error)})") from None


def _copy_steps(source: Leftovers, target: sqlite3.Connection) -> None:
    columns = {column.name: column for column in columns_of(target, "step")}
    names, rollups = COLUMNS["step"], Rollups()
    for seq, row in enumerate(source.rows("step", [columns[name] for name in names]), start=1):
        given: dict[str, Any] = dict(zip(names, row, strict=True))
        for name in LAYER_COLUMNS:
            given[name] = None if given[name] is None else unpack(given[name])
        plain = conversion.step_columns(given)
        target.execute(insert("step"), (seq, *conversion.step_row(plain)))
        if not plain["process"]:
            target.executemany(insert("rollup"), list(rollups.add(reading(plain))))


def _emptied(half: Path) -> set[str]:
    """Empty the tables whose rows are whole and make no sense all the same; their names."""
    wrong = set()
    with closing(RunReader(half)) as reader:
        reader.info()
        for table, read in _READ.items():
            try:
                read(reader)
            except RunFileError:
                wrong.add(table)
    with closing(sqlite3.connect(half)) as target, target:
        for table in wrong | ({"rollup"} if "step" in wrong else set()):
            target.execute(f"DELETE FROM {table}")
    return wrong


def _event(rows: int, damaged: set[str]) -> tuple[Any, ...]:
    args = {"rows": rows, "tables": ", ".join(sorted(damaged))}
    return 0.0, utc_now(), "warning", "rescued", _RESCUED if damaged else _WHOLE, json_text(args)
