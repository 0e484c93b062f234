"""One run as a line of the table: what the library says, its figures, and how the session shows it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tfx_workbench.analysis.statistics import Effect
from tfx_workbench.runs.interval import Interval
from tfx_workbench.runs.row import RunRow
from tfx_workbench.session.figures import Effects, Figures


@dataclasses.dataclass
class Line:
    """What `widgets.run_row.RunRow` asks for."""

    key: str
    name: str
    colour: int
    ticked: bool
    is_baseline: bool
    status: str
    reason: str
    created_at: str
    responds: bool = True
    paused: bool = False
    progress: float | None = None
    eta_s: float | None = None
    tokens_per_s: Interval | None = None
    speed_effect: Effect | None = None
    peak_bytes: float | None = None
    memory_effect: Effect | None = None
    unlike: str = ""
    loss: float | None = None
    trainable: int | None = None
    total: int | None = None
    claims_held: int = 0
    claims_broken: tuple[str, ...] = ()
    note: str = ""
    tags: tuple[str, ...] = ()
    techniques: tuple[str, ...] = ()
    device: str = ""
    comparison: str = ""
    steps: int = 0
    size_bytes: int = 0

    @property
    def path(self) -> Path:
        """The run file."""
        return Path(self.key)


def line_of(
    row: RunRow, figures: Figures | None, effects: Effects | None, *, colour: int, ticked: bool, is_baseline: bool
) -> Line:
    """The line of a run; figures may not be there yet."""
    line = Line(
        key=str(row.path), name=row.name, colour=colour, ticked=ticked, is_baseline=is_baseline, status=row.status,
        reason=row.reason, created_at=row.created_at, note=row.note, tags=row.tags, techniques=row.techniques,
        device=row.device, comparison=row.comparison, steps=row.steps, size_bytes=row.size_bytes,
        responds=row.responds,
    )
    if figures is None:
        return line
    # The library is listed once a second, an open run is read more often: the newer word counts.
    ended = figures.status not in ("queued", "running")
    line.status = figures.status if ended or row.status == "queued" else row.status
    line.reason = figures.reason or row.reason
    for name in ("paused", "progress", "eta_s", "tokens_per_s", "peak_bytes", "loss", "trainable", "total",
                 "claims_held", "claims_broken"):
        setattr(line, name, getattr(figures, name))
    if effects is not None and ticked and not is_baseline:
        line.speed_effect, line.memory_effect, line.unlike = effects.speed, effects.memory, effects.unlike
    return line


def in_order(rows: list[RunRow]) -> list[RunRow]:
    """The newest comparison first, within it as queued."""
    newest: dict[str, str] = {}
    for row in rows:
        group = row.comparison or str(row.path)
        newest[group] = max(newest.get(group, ""), row.created_at)

    within = sorted(rows, key=lambda row: (row.created_at, row.queue_position))
    return sorted(within, key=lambda row: newest[row.comparison or str(row.path)], reverse=True)


def newest_comparison(rows: list[RunRow]) -> list[str]:
    """The keys of what was run last: one run, or all of one comparison."""
    ordered = in_order(rows)
    group = ordered[0].comparison
    return [str(row.path) for row in ordered if group and row.comparison == group] or [str(ordered[0].path)]
