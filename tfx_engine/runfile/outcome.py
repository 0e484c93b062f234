"""The state of a run in its file.

How long a run has taken is told by a clock that nobody sets (`steady`): its date of ending is that of its beginning
and what has passed since, so that a wall clock that jumps in between changes no duration and never makes a run end
before it began. Only across a restart of the computer there is nothing but the wall clock.
"""

from __future__ import annotations

import datetime
import json
import sqlite3
from contextlib import suppress
from typing import Any

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.runfile.create import utc_now
from tfx_engine.runfile.processes import boot_id
from tfx_engine.runfile.steady import steady_s

BEGUN = "begun"  # the fact: the boot, and its steady clock when the run was taken
INTERRUPTED = tr_mark("The process that was running it ended without a word.")


def write_state(connection: sqlite3.Connection, status: str, reason: str, identity: dict[str, Any] | None) -> None:
    """The run's new state, within a transaction of the caller's. `identity` is the process of a run that begins."""
    connection.execute("UPDATE run SET status = ?, reason = ? WHERE id = 1", (status, reason))
    if identity is not None:
        begun = json.dumps({"boot_id": identity["boot_id"], "steady_s": steady_s()})
        connection.execute("INSERT OR IGNORE INTO fact (key, value) VALUES (?, ?)", (BEGUN, begun))
        connection.execute(
            "UPDATE run SET started_at = COALESCE(started_at, ?), ended_at = NULL, pid = ?, pid_started = ?,"
            " boot_id = ? WHERE id = 1", (utc_now(), identity["pid"], identity["started"], identity["boot_id"]),
        )
    elif status != "queued":
        connection.execute("UPDATE run SET ended_at = ? WHERE id = 1", (_ends_at(connection),))


def _ends_at(connection: sqlite3.Connection) -> str:
    begun, seconds = _started_at(connection), _steady_since(connection)
    now = datetime.datetime.now(datetime.UTC)
    if begun is not None:
        now = max(now, begun) if seconds is None else begun + datetime.timedelta(seconds=seconds)
    return now.isoformat(timespec="milliseconds")


def seconds_since_begun(connection: sqlite3.Connection) -> float:
    """How long ago the run was taken, where it is running; 0 where it is to begin."""
    begun = _started_at(connection)
    if begun is None or connection.execute("SELECT status FROM run WHERE id = 1").fetchone()[0] != "running":
        return 0.0
    seconds = _steady_since(connection)
    if seconds is not None:
        return seconds
    passed_s = (datetime.datetime.now(datetime.UTC) - begun).total_seconds()
    newest_ms = connection.execute("SELECT MAX(t_ms) FROM event").fetchone()[0]
    return max(0.0, passed_s, (newest_ms or 0.0) / 1000)


def _started_at(connection: sqlite3.Connection) -> datetime.datetime | None:
    started = connection.execute("SELECT started_at FROM run WHERE id = 1").fetchone()[0]
    with suppress(ValueError, TypeError):
        begun = datetime.datetime.fromisoformat(started)
        return begun if begun.tzinfo is not None else begun.replace(tzinfo=datetime.UTC)
    return None


def _steady_since(connection: sqlite3.Connection) -> float | None:
    """Seconds since the run was taken; None where that was before the computer was started, or nobody noted it."""
    row = connection.execute("SELECT value FROM fact WHERE key = ?", (BEGUN,)).fetchone()
    with suppress(ValueError, TypeError, KeyError):
        begun = json.loads(row[0])
        if begun["boot_id"] == boot_id():
            return max(0.0, steady_s() - float(begun["steady_s"]))
    return None
