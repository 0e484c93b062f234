"""Which runs the table shows, and in which order: found by a search, in groups that fold, sorted by a column."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from tfx_workbench.runs.search import Found, Query, found_of
from tfx_workbench.widgets.run_row import RunRow

# What runs can be put together by, and the words of a run's group; "" stands last.
GROUPINGS: dict[str, Callable[[RunRow], str]] = {
    "comparison": lambda line: line.comparison,
    "status": lambda line: line.status,
    "tags": lambda line: ", ".join(sorted(line.tags)),
    "device": lambda line: line.device,
    "day": lambda line: line.created_at[:10],
}


@dataclasses.dataclass(frozen=True)
class GroupHead:
    """The line above a group."""

    group: str
    count: int
    folded: bool


Entry = RunRow | GroupHead


@dataclasses.dataclass(frozen=True)
class Arrangement:
    """`key`: what is sorted by, None for the order that the lines have. `grouping`: one of `GROUPINGS`, or ""."""

    query: Query | None = None
    grouping: str = ""
    folded: frozenset[str] = frozenset()
    key: Callable[[RunRow], Any] | None = None
    descending: bool = False

    def arrange(self, lines: Sequence[RunRow]) -> list[Entry]:
        """The entries of the table from top to bottom."""
        kept = [line for line in lines if self.query is None or self.query.matches(found_in(line))]
        if self.key is not None:
            kept = _sorted(kept, self.key, self.descending)
        if not self.grouping:
            return list(kept)
        groups: dict[str, list[RunRow]] = {}
        for line in kept:
            groups.setdefault(GROUPINGS[self.grouping](line), []).append(line)
        entries: list[Entry] = []
        for group in sorted(groups, key=lambda group: not group):  # stable: as their first lines stand
            folded = group in self.folded
            entries += [GroupHead(group, len(groups[group]), folded), *([] if folded else groups[group])]
        return entries


def _sorted(lines: list[RunRow], key: Callable[[RunRow], Any], descending: bool) -> list[RunRow]:
    """What is not known stands last, whichever way round."""
    keyed = [(key(line), line) for line in lines]
    known = sorted((pair for pair in keyed if pair[0] is not None), key=lambda pair: pair[0], reverse=descending)
    return [line for _, line in known] + [line for value, line in keyed if value is None]


def found_in(line: RunRow) -> Found:
    """A line as it is looked for."""
    speed = line.tokens_per_s
    return found_of(line, {
        "speed": speed.median if speed else None, "memory": line.peak_bytes, "loss": line.loss,
        "params": line.total, "trained": line.trainable,
    })
