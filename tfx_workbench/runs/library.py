"""The library: the run files of a store, listed cheaply, removed."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfx_engine.protocol.problems import Problem
from tfx_engine.protocol.status import ENDED
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.header import is_sealed
from tfx_engine.runfile.lock import is_locked
from tfx_engine.runfile.pulse import Pulse
from tfx_engine.runfile.seal import seal
from tfx_engine.runfile.store import run_files, side_files
from tfx_workbench.runs.listing import Mark, load_listing, save_listing
from tfx_workbench.runs.presence import BACK_WITHIN_S
from tfx_workbench.runs.row import RunRow, read_row

_Found = tuple[Mark, RunRow | Problem]
WORTH_KEEPING = 50  # rows that took opening a file each


class Library:
    """The run files directly in the folder `store`, which need not exist."""

    def __init__(self, store: str | Path) -> None:
        self.store = Path(store)
        self.problems: tuple[Problem, ...] = ()  # files that the last scan could not read
        self._seen: dict[Path, _Found] | None = None
        self._missed: dict[Path, float] = {}  # read before and not now: since when, by the steady clock
        self._under_way: set[Path] = set()
        self._pulses: dict[Path, Pulse] = {}  # of running runs
        self._fresh = 0  # rows of ended runs that the kept listing has not

    def scan(self) -> list[RunRow]:
        """All runs, the oldest first. Unchanged files are not opened again; abandoned ones are sealed."""
        if self._seen is None:
            self._seen = {**load_listing(self.store)}
        files = run_files(self.store)
        kept = self._taken_away(self._seen, files)
        seen = self._seen = kept | {path: self._look(path, self._seen.get(path)) for path in files}
        if self._fresh >= WORTH_KEEPING:
            save_listing(self.store, {path: (mark, row) for path, (mark, row) in seen.items()
                                      if isinstance(row, RunRow) and row.status in ENDED})
            self._fresh = 0
        self._missed = {path: since for path, since in self._missed.items() if path in seen}
        self._under_way &= self._missed.keys()
        self._under_way |= {path for path, (_, found) in seen.items() if _is_under_way(found)}
        self.problems = tuple(found for _, found in seen.values() if isinstance(found, Problem))
        rows = self._with_pulse([found for _, found in seen.values() if isinstance(found, RunRow)])
        return sorted(rows, key=lambda row: (row.created_at, row.path.name))

    def _taken_away(self, before: Mapping[Path, _Found], files: Sequence[Path]) -> dict[Path, _Found]:
        """Runs under way whose file is not there now."""
        gone = (before.keys() & self._under_way) - set(files)
        return {path: before[path] for path in gone if self._is_waited_for(path)}

    def _is_waited_for(self, path: Path) -> bool:
        """Whether a run that was read before and cannot be now stays: for a look, or while its writer puts it back."""
        is_first = path not in self._missed
        now = time.monotonic()
        since = self._missed.setdefault(path, now)
        return is_first or (path in self._under_way and now - since < BACK_WITHIN_S)

    def _look(self, path: Path, before: _Found | None) -> _Found:
        mark = _mark(path)
        if before and before[0] == mark and not _may_be_abandoned(before[1]):
            return before
        try:
            row = read_row(path)
            if _is_abandoned(row) and _can_seal(path):
                row, mark = read_row(path), _mark(path)
        except RunFileError as error:
            # A busy disk, or a file that is just being replaced: no run is to leave the window for that.
            is_there = path in self._under_way or path.exists()
            if before and isinstance(before[1], RunRow) and is_there and self._is_waited_for(path):
                return before
            return mark, error.problem
        self._missed.pop(path, None)
        self._fresh += row.status in ENDED and (before is None or before[0] != mark)
        return mark, row

    def _with_pulse(self, rows: list[RunRow]) -> list[RunRow]:
        running = {row.path for row in rows if row.status == "running"}
        self._pulses = {path: self._pulses.get(path) or Pulse(path) for path in running}
        silent = {path for path, pulse in self._pulses.items() if not pulse.look()}
        return [dataclasses.replace(row, responds=False) if row.path in silent else row for row in rows]

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
        if self._seen is not None:
            self._seen.pop(path, None)

    @staticmethod
    def _refuse_locked(path: Path) -> None:
        if is_locked(path):
            raise RunFileError(Problem(
                code="run-in-use", path=str(path), template="is being written by its worker.",
                hint_template="Stop the run first.",
            ))


def _is_under_way(found: RunRow | Problem) -> bool:
    """Whether somebody writes it, or keeps it for its turn; one that waits for nobody is thrown away like any other."""
    return isinstance(found, RunRow) and (
        found.status == "running" or (found.status == "queued" and is_locked(found.path)))


def _is_abandoned(row: RunRow) -> bool:
    """Whether nobody writes a file any more that is not sealed: its writer was killed, or had no room for sealing."""
    if row.status == "interrupted":
        return True
    return row.status in ENDED and not is_sealed(row.path) and not is_locked(row.path)


def _can_seal(path: Path) -> bool:
    """Seal it where there is room and permission for that; a full disk is no reason to hide a run."""
    try:
        return seal(path)
    except RunFileError:
        return False


def _may_be_abandoned(found: RunRow | Problem) -> bool:
    """A running file that nobody writes to any more does not change: its lock has to be looked at."""
    return isinstance(found, RunRow) and found.status in ("running", "interrupted")


def _mark(path: Path) -> Mark:
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
