"""What a form shows: values, problems, warnings, and what differs from the defaults, all by key path."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
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
        return any(p == prefix or p.startswith(prefix + ".") for said in (self.problems, self.warnings) for p in said)

    def changed_under(self, prefix: str) -> bool:
        """Whether something at that path or under it differs from its default."""
        return any(p == prefix or p.startswith(prefix + ".") for p in self.changed)
