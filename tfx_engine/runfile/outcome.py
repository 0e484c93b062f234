"""The state of a run in its file."""

from __future__ import annotations

import datetime
import sqlite3
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.runfile.create import utc_now

INTERRUPTED = tr_mark("The process that was running it ended without a word.")


def write_state(connection: sqlite3.Connection, status: str, reason: str, identity: dict[str, Any] | None) -> None:
    """The run's new state, within a transaction of the caller's. `identity` is the process of a run that begins."""
    now = utc_now()
    connection.execute("UPDATE run SET status = ?, reason = ? WHERE id = 1", (status, reason))
    if identity is not None:
        connection.execute(
            "UPDATE run SET started_at = COALESCE(started_at, ?), ended_at = NULL, pid = ?, pid_started = ?,"
            " boot_id = ? WHERE id = 1", (now, identity["pid"], identity["started"], identity["boot_id"]),
        )
    elif status != "queued":
        connection.execute("UPDATE run SET ended_at = ? WHERE id = 1", (now,))

def seconds_since_begun(connection: sqlite3.Connection) -> float:
    """How long ago the run was taken, where it is running; 0 where it is to begin."""
    status, started = connection.execute("SELECT status, started_at FROM run WHERE id = 1").fetchone()
    if status != "running" or not started:
        return 0.0
    try:
        begun = datetime.datetime.fromisoformat(started)
        return max(0.0, (datetime.datetime.now(datetime.UTC) - begun).total_seconds())
    except (ValueError, TypeError):
        return 0.0
