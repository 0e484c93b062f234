"""Files of other versions: every released one opens, forever; a newer one is refused politely.

Who reads an old file sees it through views and leaves it as it is. Who writes to one (a run that was queued by an older
program) brings the file itself up to date first.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from tfx_engine.runfile.errors import failure
from tfx_engine.runfile.tables import SCHEMA_VERSION, TABLES, create_statement

NEW_IN_3 = ("audit", "profile_part", "operator", "kernel", "memory_module", "memory_block",
            "memory_slot", "trace", "annotation")  # tables
DEVICE_NEW_IN_3 = {
    "others_percent": "REAL", "energy_j": "REAL", "clock_events": "INTEGER", "other_processes": "INTEGER",
}

def _with_accuracy(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TEMP VIEW evaluation AS SELECT *, NULL AS accuracy, NULL AS bits_per_byte FROM main.evaluation"
    )


def _with_what_3_has(connection: sqlite3.Connection) -> None:
    for table in NEW_IN_3:
        connection.execute(create_statement(table).replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
    new = ", ".join(f"NULL AS {column}" for column in DEVICE_NEW_IN_3)
    connection.execute(f"CREATE TEMP VIEW device_sample AS SELECT *, {new} FROM main.device_sample")


# From a version to the next: views, as temporary tables of the reading connection, that make an old file look newer.
VIEWS: dict[int, Callable[[sqlite3.Connection], None]] = {1: _with_accuracy, 2: _with_what_3_has}
# The same for a file that is written to.
CHANGES: dict[int, tuple[str, ...]] = {
    1: ("ALTER TABLE evaluation ADD COLUMN accuracy REAL", "ALTER TABLE evaluation ADD COLUMN bits_per_byte REAL"),
    2: (
        *map(create_statement, NEW_IN_3),
        *(f"ALTER TABLE device_sample ADD COLUMN {name} {kind}" for name, kind in DEVICE_NEW_IN_3.items()),
    ),
}


def tables_of(version: int) -> list[str]:
    """The tables that a file of a version has."""
    return [name for name in TABLES if version >= 3 or name not in NEW_IN_3]


def check_version(version: int, path: Path) -> None:
    """Raise `RunFileError` where a file is newer than this program, or of no version that there ever was."""
    if version > SCHEMA_VERSION:
        raise failure("newer-version", path, found=version, known=SCHEMA_VERSION)
    if version < 1:
        raise failure("not-a-run-file", path)


def make_current(connection: sqlite3.Connection, version: int) -> None:
    """Make a file of an older version readable as one of this version, on this connection alone."""
    if version == SCHEMA_VERSION:
        return
    connection.execute("PRAGMA temp_store = MEMORY")
    connection.execute("PRAGMA query_only = OFF")  # which would refuse temporary views too
    for older in range(version, SCHEMA_VERSION):
        VIEWS[older](connection)
    connection.execute("PRAGMA query_only = ON")


def bring_up_to_date(connection: sqlite3.Connection) -> None:
    """Make a file of an older version one of this version, whole or not at all. Raises sqlite3.Error."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version >= SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        for older in range(version, SCHEMA_VERSION):
            for statement in CHANGES[older]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
