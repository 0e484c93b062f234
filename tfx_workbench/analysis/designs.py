"""The designs of ablations: which levels of their factors meet in one configuration, and what that is called.

"one-at-a-time" and "sweep" change one factor of the base; "leave-one-out" takes the first other level of every factor
and leaves one of them out in turn; "factorial" is every combination, the base's own levels among them.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

from tfx_engine.protocol.cards import Catalogue
from tfx_engine.protocol.config import Config
from tfx_workbench.analysis.factors import Factor, base_level, is_slot, level_name, off_level

DESIGNS = ("one-at-a-time", "leave-one-out", "factorial", "sweep")


@dataclasses.dataclass(frozen=True)
class Design:
    """One of `DESIGNS` over the factors of a base configuration, whose own choice is a level of every factor."""

    kind: str
    factors: tuple[Factor, ...]
    base: Config
    catalogue: Catalogue

    def count(self) -> int:
        """How many configurations it has at most, without enumerating them; some may be equal."""
        others = [len(self._others(factor)) for factor in self.factors]
        match self.kind:
            case "factorial":
                return math.prod(n + 1 for n in others)
            case "leave-one-out":
                return 1 + len(others)
            case _:
                return 1 + sum(others)

    def configurations(self) -> Iterator[dict[str, Any]]:
        """The level of every factor by its path, one by one; the first is what the others are compared with."""
        own = {factor.path: base_level(self.base, factor.path) for factor in self.factors}
        match self.kind:
            case "factorial":
                levels = [[own[f.path], *self._others(f)] for f in self.factors]
                for combined in itertools.product(*levels):
                    yield dict(zip(own, combined, strict=True))
            case "leave-one-out":
                full = {f.path: next(iter(self._others(f)), own[f.path]) for f in self.factors}
                yield full
                for factor in self.factors:
                    without = off_level(self.base, factor, self.catalogue)
                    yield full | {factor.path: own[factor.path] if without is None else without}
            case _:
                yield own
                for factor in self.factors:
                    for level in self._others(factor):
                        yield own | {factor.path: level}

    def varies(self, factor: Factor) -> bool:
        """Whether it has more than one level of a factor."""
        if self._others(factor):
            return True
        return self.kind == "leave-one-out" and off_level(self.base, factor, self.catalogue) is not None

    def title(self, levels: Mapping[str, Any]) -> str:
        """What tells a configuration from the one that all are compared with."""
        leaves_out = self.kind == "leave-one-out"
        first = next(self.configurations())
        differing = [path for path, level in levels.items() if level != first[path]]
        if not differing:
            return f"{self.base.name}: all" if leaves_out else self.base.name
        parts = [_level_title(path, first[path] if leaves_out else levels[path], self.catalogue) for path in differing]
        return f"without {parts[0]}" if leaves_out else ", ".join(parts)

    def _others(self, factor: Factor) -> list[Any]:
        """The levels that are not the base's own, each once."""
        own = base_level(self.base, factor.path)
        found: list[Any] = []
        for level in factor.levels:
            if level != own and level not in found:
                found.append(level)
        return found


def _level_title(path: str, level: Any, catalogue: Catalogue) -> str:
    """A level in a word or two: the word on the toggle, or the option and its value."""
    if not is_slot(path):
        return f"{path.rpartition('.')[2]} {level_name(level)}"
    name = path.partition(".")[2]
    use = str(level.get("use", "") if isinstance(level, Mapping) else level)
    card = catalogue.find(name, use)
    slot = catalogue.slot(name)
    short = card.short if card else use
    return short if slot is None or use != "none" else f"{slot.title.lower()} {short}"
