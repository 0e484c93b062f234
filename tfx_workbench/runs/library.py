"""The library: the run files of a store, listed cheaply, removed, renamed."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from tfx_engine.protocol.problems import Problem
from tfx_engine.runfile.edit import rename
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.reader import RunReader
from tfx_engine.runfile.seal import seal
from tfx_engine.runfile.store import run_files, side_files


@dataclasses.dataclass(frozen=True)
class RunRow:
    """One run file, as a list shows it."""

    path: Path
    run_id: str
    name: str
    status: str  # `interrupted` where its writer is gone without a word
    reason: str
    created_at: str  # ISO 8601, UTC
    started_at: str | None
    ended_at: str | None
    comparison: str
    queue_position: float
    steps: int
    size_bytes: int

    def as_dict(self) -> dict[str, Any]:
        """The row for JSON."""
        row = dataclasses.asdict(self)
        return {"run": str(row.pop("path")), **row}


class Library:
    """The run files directly in the folder `store`, which need not exist."""

    def __init__(self, store: str | Path) -> None:
        self.store = Path(store)
        self.problems: tuple[Problem, ...] = ()  # files that the last scan could not read
        self._seen: dict[Path, tuple[Any, RunRow | Problem]] = {}

    def scan(self) -> list[RunRow]:
        """All runs, the oldest first. Unchanged files are not opened again; abandoned ones are sealed."""
        seen = {path: self._look(path) for path in run_files(self.store)}
        self._seen = seen
        self.problems = tuple(found for _, found in seen.values() if isinstance(found, Problem))
        rows = [found for _, found in seen.values() if isinstance(found, RunRow)]
        return sorted(rows, key=lambda row: (row.created_at, row.path.name))

    def _look(self, path: Path) -> tuple[Any, RunRow | Problem]:
        mark = _mark(path)
        before = self._seen.get(path)
        if before and before[0] == mark and not _may_be_abandoned(before[1]):
            return before
        try:
            row = read_row(path)
            if row.status == "interrupted" and _can_seal(path):
                row, mark = read_row(path), _mark(path)
        except RunFileError as error:
            return mark, error.problem
        return mark, row

    def rename(self, path: str | Path, name: str) -> None:
        """Call a run something else; its file keeps its name. Raises `RunFileError` while a worker writes it."""
        rename(path, name)

    def delete(self, path: str | Path) -> None:
        """Remove a run file and what belongs to it. Raises `RunFileError` while a worker writes it."""
        path = Path(path)
        self._refuse_locked(path)
        try:
            path.unlink()
            for beside in side_files(path):
                beside.unlink(missing_ok=True)
        except OSError as error:
            raise RunFileError(_failed(path, error)) from error
        self._seen.pop(path, None)

    @staticmethod
    def _refuse_locked(path: Path) -> None:
        if is_locked(path):
            raise RunFileError(Problem(
                code="run-in-use", path=str(path), template="is being written by its worker.",
                hint_template="Stop the run first.",
            ))


def read_row(path: Path) -> RunRow:
    """The row of one run file. Raises `RunFileError`."""
    reader = RunReader(path)
    try:
        info, steps = reader.info(), reader.count_steps()
    finally:
        reader.close()
    return RunRow(
        path=path, run_id=info.run_id, name=info.name, status=info.status, reason=info.reason,
        created_at=info.created_at, started_at=info.started_at, ended_at=info.ended_at, comparison=info.comparison,
        queue_position=info.queue_position, steps=steps, size_bytes=path.stat().st_size,
    )


def _can_seal(path: Path) -> bool:
    """Seal it where there is room and permission for that; a full disk is no reason to hide a run."""
    try:
        return seal(path)
    except RunFileError:
        return False


def _may_be_abandoned(found: RunRow | Problem) -> bool:
    """A running file that nobody writes to any more does not change: its lock has to be looked at."""
    return isinstance(found, RunRow) and found.status in ("running", "interrupted")


def _mark(path: Path) -> tuple[tuple[int, int] | None, ...]:
    """Size and time of the file and its write-ahead log: the same where nothing was written."""
    return tuple(_stamp(name) for name in (str(path), f"{path}-wal"))


def _stamp(name: str) -> tuple[int, int] | None:
    try:
        status = os.stat(name)  # noqa: PTH116  called for every file of a store, several times a second
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def _failed(path: Path, error: OSError) -> Problem:
    return Problem(code="file-trouble", path=str(path), template="cannot be removed: {error}.",
                   args={"error": error.strerror or str(error)})
