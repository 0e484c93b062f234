"""A new run file: everything that is known before the run, in the state `queued`."""

from __future__ import annotations

import datetime
import functools
import os
import sqlite3
import subprocess
import uuid
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import tfx_engine
from tfx_engine.protocol.config import Config
from tfx_engine.runfile.errors import failure
from tfx_engine.runfile.store import make_store
from tfx_engine.runfile.tables import schema
from tfx_engine.runfile.texts import json_text, storable
from tfx_engine.runfile.unfinished import new_run_file, sweep_halves


def create(
    path: str | os.PathLike[str], config: Config, config_toml: str, comparison: str = "", queue_position: float = 0.0,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Write a queued run file, whole or not at all, readable by its owner alone. `facts`: what is known beforehand.

    Raises `RunFileError`: the file exists, no permission, no space.
    """
    path = Path(path)
    if path.exists():
        raise failure("exists", path)
    make_store(path.parent)
    with new_run_file(path) as half:
        sweep_halves(path.parent)
        with closing(sqlite3.connect(half)) as connection:
            connection.executescript(f"PRAGMA synchronous = FULL; BEGIN; {schema()} COMMIT;")
            _insert_run(connection, config, config_toml, comparison, queue_position)
            with connection:
                connection.executemany(
                    "INSERT INTO fact (key, value) VALUES (?, ?)",
                    [(storable(key), json_text(value)) for key, value in (facts or {}).items()],
                )


def _insert_run(
    connection: sqlite3.Connection, config: Config, config_toml: str, comparison: str, queue_position: float
) -> None:
    row = {
        "id": 1, "run_id": str(uuid.uuid4()), "name": storable(config.name), "status": "queued",
        "created_at": utc_now(), "queue_position": queue_position, "comparison": storable(comparison),
        "config_toml": storable(config_toml), "config_json": json_text(config.as_dict()),
        "engine_version": tfx_engine.__version__, "engine_revision": engine_revision(),
    }
    with connection:
        connection.execute(
            f"INSERT INTO run ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", tuple(row.values())
        )


def utc_now() -> str:
    """The time as run files hold it: ISO 8601, UTC, milliseconds."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


@functools.cache
def engine_revision() -> str | None:
    """The git revision of a checkout that the engine runs from; None where it is installed."""
    root = Path(tfx_engine.__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=12"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=5, check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # no git here
    return done.stdout.strip() or None
