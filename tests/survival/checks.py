"""What must hold of every run file, whatever happened to those who wrote it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.rollup import FACTOR
from tfx_engine.runfile.seal import seal


def check_rows(path: Path, acknowledged: int) -> tuple[str, int]:
    """(effective status, rows): no row missing of those that were acknowledged, no gap, rollups that agree."""
    with RunReader(path) as reader, reader.snapshot():
        info = reader.info()
        losses = reader.steps()["loss"].tolist()
        assert len(losses) >= acknowledged, f"{len(losses)} rows of {acknowledged} that were acknowledged"
        assert losses == list(range(1, len(losses) + 1)), "a gap between rows"
        for level in (1, 2):
            last = reader.rollup(level)["last_step"].tolist()
            assert last == list(range(FACTOR**level, len(losses) + 1, FACTOR**level)), f"rollup {level} disagrees"
        for capture in reader.attention_captures():
            for layer in capture.layers:
                reader.attention(capture.capture, layer)
        reader.events(), reader.facts(), reader.missing()
        assert not info.is_locked, "the lock is held by nobody"
        return info.status, len(losses)


def check_sealed(path: Path, acknowledged: int) -> tuple[str, int, list[str]]:
    """The same once it is sealed, and of the bare file: (recorded status, rows, what else lies beside it)."""
    seal(path)
    status, rows = check_rows(path, acknowledged)
    return status, rows, check_bare(path, status)


def check_bare(path: Path, status: str) -> list[str]:
    """That a sealed file is sound, and complete without anything beside it; what lies there, without its name."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",), "not one file again"
        assert connection.execute("SELECT status FROM run").fetchone() == (status,)
    left = sorted(file.name.replace(path.name, "") for file in path.parent.iterdir()
                  if file != path and path.name in file.name)
    assert not {"-wal", "-journal"} & set(left), left
    return left
