"""Readers of run files and of what lies beside them, and of arrays."""

from __future__ import annotations

import contextlib
import functools
import json
import random
import sqlite3
import struct
from pathlib import Path
from typing import Any

from tests.fuzz.mutate import as_json, odd_value, reshaped
from tests.fuzz.target import Seeds, Target, anyhow
from tests.helpers.synthetic_run import write_run
from tfx_engine.runfile import arrays
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.store import beside
from tfx_engine.runfile.tables import LAYER_COLUMNS, TABLES
from tfx_workbench.commands.words import title
from tfx_workbench.exhibits.kind import all_exhibits
from tfx_workbench.exhibits.runview import RunView
from tfx_workbench.runs.rundata import RunData

SMALL: dict[str, Any] = {"layers": 1, "heads": 2, "context": 8, "width": 8, "steps": 20}
_OTHERS = ("logs", "annotations", "kernels", "operators", "rollup_columns", "turns", "trace", "memory_blocks")
_SIDES = ("-wal", "-shm", "-journal", ".lock", ".mail", ".spool")


@functools.cache
def run_bytes(folder: Path) -> bytes:
    return write_run(folder / "seed.tfx", **SMALL).read_bytes()


def _arrays(_: Path) -> Seeds:
    import numpy as np

    return [arrays.pack(np.arange(12, dtype=np.float32).reshape(3, 4)), arrays.pack(np.zeros((2, 3), np.int64), True)]


def _array(data: bytes, _: Path) -> None:
    with contextlib.suppress(ValueError):
        arrays.unpack(data)
    with contextlib.suppress(ValueError):
        arrays.unpack_all([data, data])


def _run_file(data: bytes, folder: Path) -> None:
    """All that reads a run: reader, summary, exhibits."""
    path = folder / "run.tfx"
    for suffix in ("", *_SIDES):
        beside(path, suffix).unlink(missing_ok=True)
    path.write_bytes(data)
    with RunReader(path) as reader:
        for name in LAYER_COLUMNS:
            reader.layer_steps(name)
        for capture in reader.attention_captures()[:3]:
            reader.attention_tokens(capture.capture)
            for layer in capture.layers[:3]:
                reader.attention(capture.capture, layer)
        for event in (*reader.events(), *reader.audit()):
            assert len(event.message) < 10**7
        for name in _OTHERS:
            getattr(reader, name)()
    with contextlib.closing(RunData(path)) as run:
        run.load()
        json.dumps(run.complete_summary(), allow_nan=False)
        title(run.info.name)
        view = RunView(run, run.info.name, 0, focus=True, baseline=True)
        for kind in all_exhibits():
            exhibit = kind.make([view], {})
            str(exhibit.summary())


def changed_rows(seeds: Seeds, draw: random.Random) -> bytes:
    """A run file whose values are of other kinds, sizes and numbers than they should be; its definitions stay."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(seeds[0])
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for _ in range(draw.choice((1, 1, 2, 5))):
            _change(connection, draw)
        connection.commit()
        return bytes(connection.serialize())


def _change(connection: sqlite3.Connection, draw: random.Random) -> None:
    table = draw.choice(TABLES)
    column = draw.choice(_columns(connection, table))
    with contextlib.suppress(sqlite3.Error, OverflowError, UnicodeError):
        if draw.random() < 0.1:
            connection.execute(f"DELETE FROM {table} WHERE random() % 2")
        elif table in ("fact", "prediction", "annotation") and draw.random() < 0.7:
            _change_json(connection, table, draw)
        else:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE random() % 3 = 0", (_cell(draw),))


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    hidden = 6
    return [row[1] for row in connection.execute(f"PRAGMA table_xinfo({table})") if row[hidden] == 0]


def _change_json(connection: sqlite3.Connection, table: str, draw: random.Random) -> None:
    """One of the values that are JSON, or a number, by its key."""
    rows = connection.execute(f"SELECT key, value FROM {table}").fetchall()
    if rows:
        key, value = draw.choice(rows)
        try:
            value = as_json(reshaped(json.loads(value), draw)).decode()
        except (TypeError, ValueError):
            value = _cell(draw)
        connection.execute(f"UPDATE {table} SET value = ? WHERE key = ?", (value, key))


def _cell(draw: random.Random) -> Any:
    value = odd_value(draw)
    if isinstance(value, (dict, list)):
        return as_json(value).decode()
    if isinstance(value, str):
        return value.encode(errors="surrogatepass") if draw.random() < 0.2 else value.encode(errors="replace").decode()
    return draw.choice((value, arrays.MAGIC + struct.pack("<BB4sq", 1, 1, b"<f4", 2**40), b"\xff" * 20))


TARGETS = (
    Target("array", _arrays, _array, anyhow),
    Target("run file, bytes", lambda folder: [run_bytes(folder)], _run_file, anyhow),
    Target("run file, values", lambda folder: [run_bytes(folder)], _run_file, changed_rows),
)
