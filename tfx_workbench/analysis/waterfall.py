"""Where a difference went: what each part of a whole adds or saves between two runs, the biggest change first.

The changes add up to the difference of the wholes, exactly: what no part explains is a part of its own, `REST`.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.comparable import why_not
from tfx_workbench.runs.summary import NO_SPLIT, highest_probe

if TYPE_CHECKING:
    from tfx_workbench.runs.rundata import RunData

MOST_PARTS = 10
Key = tuple[str, ...]  # what a part is: (category,), (category, component) or (component,)
Parts = Mapping[Key, float]
SMALLER: Key = ("smaller",)  # changes that are too many to be shown one by one
REST: Key = ("rest",)  # what no part explains
NOT_PROFILED = tr_mark("no step of it was profiled")
NOT_DIVIDED = tr_mark("its file does not say which component it belongs to")
NOT_KNOWN = tr_mark("it does not know this figure")


@dataclasses.dataclass(frozen=True)
class Part:
    """One part of the whole; `count` says how many smaller ones are put together in it."""

    key: Key
    before: float
    after: float
    count: int = 1

    @property
    def change(self) -> float:
        """What it adds; negative where it saves."""
        return self.after - self.before


@dataclasses.dataclass(frozen=True)
class Waterfall:
    """From `before` to `after` by `parts`, in the unit of the quantity; `missing` says why there is none."""

    quantity: str
    before: float = math.nan
    after: float = math.nan
    parts: tuple[Part, ...] = ()
    missing: str = ""
    of_other: bool = False  # it is missing in the second run, not in the first

    @property
    def change(self) -> float:
        """The difference of the wholes."""
        return self.after - self.before


@dataclasses.dataclass(frozen=True)
class Whole:
    """One run's side: the whole, and its parts as far as they are known."""

    total: float
    parts: Parts


def between(quantity: str, before: Whole, after: Whole, most: int = MOST_PARTS) -> Waterfall:
    """The changes from one whole to another; parts that do not change are left out."""
    keys = dict.fromkeys((*before.parts, *after.parts))
    changed = [Part(key, before.parts.get(key, 0.0), after.parts.get(key, 0.0)) for key in keys]
    changed = sorted((p for p in changed if p.change), key=lambda p: (-abs(p.change), p.key))
    shown, small = (changed, []) if len(changed) <= most else (changed[: most - 1], changed[most - 1 :])
    if small:
        shown.append(Part(SMALLER, sum(p.before for p in small), sum(p.after for p in small), len(small)))
    # Taken from the wholes, so that it closes the sum to the last bit that a sum in this order has.
    left = (after.total - before.total) - sum(p.change for p in shown)
    tiny = 1e-9 * max(abs(before.total), abs(after.total), 1e-300)
    if abs(left) > tiny:
        unexplained = [whole.total - sum(whole.parts.values()) for whole in (before, after)]
        shown.append(Part(REST, unexplained[0], unexplained[0] + left))
    return Waterfall(quantity, before.total, after.total, tuple(shown))


def waterfall(quantity: str, before: RunData | None, after: RunData) -> Waterfall:
    """From one run to another; without `before` from nothing. `quantity`: a key of `QUANTITIES`."""
    sides: list[Whole] = []
    for i, run in enumerate((before, after)):
        found = Whole(0.0, {}) if run is None else QUANTITIES[quantity](run)
        if isinstance(found, str):
            return Waterfall(quantity, missing=found, of_other=i == 1)
        sides.append(found)
    if before is not None and (unlike := why_not(before, after, _METRICS.get(quantity, ""))):
        return Waterfall(quantity, missing=unlike, of_other=True)
    return between(quantity, sides[0], sides[1])


# ---------------------------------------------------------------------------------------------- the sides


def _memory(run: RunData) -> Whole | str:
    """Bytes at the highest peak by category."""
    probe = highest_probe(run.memory_probes)
    if probe is None:
        return run.missing.get("memory_split") or NO_SPLIT
    return Whole(probe.peak_bytes, {(name,): size for name, size in probe.composition.items()})


def _modules(run: RunData) -> Whole | str:
    """The same by category and component."""
    probe = highest_probe(run.memory_probes)
    if probe is None:
        return run.missing.get("memory_split") or NO_SPLIT
    parts: dict[Key, float] = {}
    for module in run.memory_modules(probe.step):
        for category, size in module.at_peak.items():
            parts[category, module.slot] = parts.get((category, module.slot), 0) + size
    return Whole(probe.peak_bytes, parts) if parts else NOT_DIVIDED


def _time(run: RunData) -> Whole | str:
    """Milliseconds of a step by component: the median over the measured steps, divided as in the profiled ones."""
    if not run.profile_parts:
        return run.missing.get("time_ms") or NOT_PROFILED
    parts: dict[Key, float] = {}
    for row in run.profile_parts:
        parts[row.component,] = parts.get((row.component,), 0.0) + row.ms
    median = run.summary()["step_ms"]["median"]
    return Whole(sum(parts.values()) if median is None else float(median), parts)


def _params(run: RunData) -> Whole | str:
    return _counted(run, "params", "total", "params_by_component")


def _flops(run: RunData) -> Whole | str:
    """Per token of training, with what is computed again."""
    return _counted(run, "flops_per_token", "hardware", "flops_by_component")


def _counted(run: RunData, fact: str, name: str, by_component: str) -> Whole | str:
    total = (run.facts.get(fact) or {}).get(name)
    if not isinstance(total, (int, float)):
        return run.missing.get(f"{fact}.{name}") or NOT_KNOWN
    parts = run.facts.get(by_component)
    known = isinstance(parts, dict) and all(isinstance(value, (int, float)) for value in parts.values())
    return Whole(total, {(slot,): value for slot, value in parts.items()} if known and parts else {})


QUANTITIES: dict[str, Callable[[RunData], Whole | str]] = {
    "memory": _memory, "modules": _modules, "time": _time, "params": _params, "flops": _flops,
}
# What of `comparable.why_not` holds for a quantity; the others are counted from the configuration.
_METRICS = {"memory": "peak_bytes", "modules": "peak_bytes", "time": "step_ms"}
