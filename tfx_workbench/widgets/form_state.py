"""What a form shows: values, problems, warnings, and what differs from the defaults, all by key path."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class FormState:
    """Everything by key path such as `techniques.adapter.rank`.

    `blocked` maps (slot, technique) to the reason why it does not fit the other choices. `warnings` are said like
    problems, and nothing is marked as wrong.
    """

    values: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    problems: Mapping[str, str] = dataclasses.field(default_factory=dict)
    changed: frozenset[str] = frozenset()
    blocked: Mapping[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    warnings: Mapping[str, str] = dataclasses.field(default_factory=dict)

    @property
    def task(self) -> str:
        """The task, on which some defaults depend."""
        return str(self.values.get("data.task", "text"))

    def said_under(self, prefix: str) -> bool:
        """Whether something is wrong, or warned of, at that path or under it."""
        return prefix in self._said

    def changed_under(self, prefix: str) -> bool:
        """Whether something at that path or under it differs from its default."""
        return prefix in self._changed

    def of_slot(self, slot: str) -> tuple[object, ...]:
        """All that a row shows of a slot; two that are equal look alike."""
        return (self.task, *self._by_slot.get(slot, ()))

    @functools.cached_property
    def _said(self) -> frozenset[str]:
        return _with_tables((*self.problems, *self.warnings))

    @functools.cached_property
    def _changed(self) -> frozenset[str]:
        return _with_tables(self.changed)

    @functools.cached_property
    def _by_slot(self) -> dict[str, list[object]]:
        found: dict[str, list[object]] = {}
        said = (self.values, self.problems, dict.fromkeys(sorted(self.changed)), self.warnings)
        for kind, table in enumerate(said):
            for path, value in table.items():
                if path.startswith("techniques."):
                    found.setdefault(path.split(".")[1], []).append((kind, path, value))
        for (slot, name), reason in self.blocked.items():
            found.setdefault(slot, []).append((name, reason))
        return found


def _with_tables(paths: Iterable[str]) -> frozenset[str]:
    """The paths and the tables they are in: `a.b.c` is in `a.b` and in `a`."""
    found: set[str] = set()
    for path in paths:
        while path and path not in found:
            found.add(path)
            path = path.rpartition(".")[0]
    return frozenset(found)
