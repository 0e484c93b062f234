"""Which runs of an ablation there are already: what is done is not done again."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tfx_engine.protocol.interleaving import CONTROL, part_of
from tfx_engine.runfile.errors import RunFileError
from tfx_engine.runfile.reader import RunReader
from tfx_workbench.analysis.ablation import FACT, Cell, Plan, Request, request_from
from tfx_workbench.runs.row import RunRow

_BEST = ("finished", "failed", "running", "queued", "stopped", "interrupted")  # of several runs of one cell
DONE = ("finished", "failed")
GOING = ("running", "queued")
Key = tuple[tuple[tuple[str, str], ...], int]  # as `Cell.key`


@dataclasses.dataclass(frozen=True)
class CellRun:
    """A run of a cell; `taken_s`: from its start to its end."""

    path: Path
    status: str
    reason: str
    was_started: bool
    taken_s: float | None


def cell_runs(
    rows: Iterable[RunRow], ident: str, facts: dict[Path, dict[str, Any]] | None = None
) -> dict[Key, list[CellRun]]:
    """The runs of an ablation by cell, the best of each cell first; files that cannot be read are left out.

    `facts`: what files said before, which does not change; what is read is kept in it.
    """
    found: dict[Key, list[CellRun]] = {}
    known = {} if facts is None else facts
    for row in rows:
        if row.comparison != ident:
            continue
        fact = known.get(row.path) or read_fact(row.path)
        if fact is None:
            continue
        known[row.path] = fact
        key: Key = (tuple(sorted((str(k), str(v)) for k, v in fact["levels"].items())), int(fact.get("seed", 0)))
        found.setdefault(key, []).append(CellRun(
            row.path, row.status, row.reason, row.started_at is not None, _seconds(row.started_at, row.ended_at)))
    for runs in found.values():
        runs.sort(key=lambda run: _BEST.index(run.status) if run.status in _BEST else len(_BEST))
    return found


def read_fact(path: Path) -> dict[str, Any] | None:
    """What a run file says of its place in an ablation; None where it has none, or cannot be read.

    The second copy of the baseline of an interleaved comparison has none: it measures the machine's noise.
    """
    with contextlib.suppress(RunFileError), contextlib.closing(RunReader(path)) as reader:
        facts = reader.facts()
        part = part_of(facts)
        if part is not None and part.role == CONTROL:
            return None
        fact = facts.get(FACT)
        if isinstance(fact, dict) and isinstance(fact.get("levels"), dict):
            return fact
    return None


def request_of(rows: Iterable[RunRow], ident: str) -> Request | None:
    """What was asked for, as any run of the ablation tells it."""
    for row in rows:
        if row.comparison == ident and (fact := read_fact(row.path)) is not None:
            with contextlib.suppress(ValueError):
                return request_from(fact.get("request") or {})
    return None


def known_ablations(rows: Iterable[RunRow]) -> list[str]:
    """The ablations of a library, the newest last."""
    return list(dict.fromkeys(row.comparison for row in rows if row.comparison.startswith("ablation-")))


def to_do(plan: Plan, known: Mapping[Key, Sequence[CellRun]], again: bool = False) -> list[Cell]:
    """The cells that have no run that ended, nor one that is going; `again`: those that failed once more, too."""
    kept = (*GOING, "finished") if again else (*GOING, *DONE)
    return [cell for cell in plan.cells if not any(run.status in kept for run in known.get(cell.key, ()))]


def left_over(plan: Plan, known: Mapping[Key, Sequence[CellRun]]) -> list[Path]:
    """Runs that were queued and never began, and never will."""
    return [run.path for cell in plan.cells for run in known.get(cell.key, ())
            if not run.was_started and run.status in ("stopped", "interrupted")]


def _seconds(started: str | None, ended: str | None) -> float | None:
    if not started or not ended:
        return None
    try:
        begin, end = (datetime.datetime.fromisoformat(text) for text in (started, ended))
        return max(0.0, (end - begin).total_seconds())
    except (ValueError, TypeError):
        return None
