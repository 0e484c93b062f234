"""To whom time and memory belong: the phase `profile`, by part, component, operator and kernel; splits by module."""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar

from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.runfile.arrays import unpack
from tfx_engine.runfile.rows import Kernel, MemoryBlock, ModuleMemory, Operator, ProfilePart, SlotTimeline
from tfx_engine.runfile.snapshot import as_words
from tfx_engine.runfile.stepreader import StepReader
from tfx_engine.runfile.tables import COLUMNS

_WORDS = frozenset({"part", "component", "name"})
Row = TypeVar("Row", ProfilePart, Operator, Kernel)


class ProfileReader(StepReader):
    """Reads the tables of the profile, each in the order in which it was written."""

    def profile_parts(self) -> list[ProfilePart]:
        """Time, FLOPs and bytes by component of each part of the step; empty where the run was not profiled."""
        return self._all("profile_part", ProfilePart)

    def operators(self) -> list[Operator]:
        """The operators that take the most time, those first."""
        return self._all("operator", Operator)

    def kernels(self) -> list[Kernel]:
        """The kernels that take the most time, those first; empty where the host is the device."""
        return self._all("kernel", Kernel)

    def trace(self) -> tuple[int, bytes] | None:
        """(step, its trace as gzip'd JSON) of the newest step that has one."""
        with self.reading():
            rows = self.rows("SELECT step, json_gz FROM trace ORDER BY seq DESC LIMIT 1")
            if rows and not isinstance(rows[0][1], bytes):  # bytes(10**10) would be ten thousand million zeros
                raise ValueError("a trace that is no blob")
            return (int(rows[0][0]), rows[0][1]) if rows else None

    def memory_modules(self, step: int) -> list[ModuleMemory]:
        """The modules of the split of that step; empty where it was not told by module."""
        with self.reading():
            names = ", ".join(("step", "module", "slot", *CATEGORIES))
            rows = self.rows(f"SELECT {names} FROM memory_module WHERE step = ? ORDER BY seq", step)
            return [
                ModuleMemory(int(step), as_words(module), as_words(slot),
                             {name: int(size) for name, size in zip(CATEGORIES, sizes, strict=True)})
                for step, module, slot, *sizes in rows
            ]

    def memory_blocks(self, step: int | None = None) -> list[MemoryBlock]:
        """The largest blocks of the split of that step, or of the newest one that has them; the largest first."""
        with self.reading():
            newest = "(SELECT MAX(step) FROM memory_block)" if step is None else "?"
            rows = self.rows(
                "SELECT step, module, slot, category, bytes, name, operator, shape, dtype FROM memory_block"
                f" WHERE step = {newest} ORDER BY bytes DESC, seq", *(() if step is None else (step,)),
            )
            return [
                MemoryBlock(int(step), as_words(module), as_words(slot), as_words(category), int(size), as_words(name),
                            as_words(operator), None if shape is None else tuple(map(int, json.loads(shape))),
                            as_words(dtype))
                for step, module, slot, category, size, name, operator, shape, dtype in rows
            ]

    def slot_timeline(self, step: int) -> SlotTimeline | None:
        """The timeline by slot of the split of that step."""
        with self.reading():
            rows = self.rows("SELECT slots, timeline FROM memory_slot WHERE step = ? ORDER BY seq LIMIT 1", step)
            if not rows:
                return None
            slots = tuple(map(str, json.loads(as_words(rows[0][0]))))
            return SlotTimeline(step, slots, unpack(rows[0][1]).reshape(-1, len(slots)))

    def _all(self, table: str, kind: type[Row]) -> list[Row]:
        names = COLUMNS[table]
        with self.reading():
            rows = self.rows(f"SELECT {', '.join(names)} FROM {table} ORDER BY seq")
            return [kind(**{n: _value(n, v) for n, v in zip(names, row, strict=True)}) for row in rows]


def _value(name: str, value: Any) -> Any:
    if name in _WORDS:
        return as_words(value)
    if value is None:
        return None
    if not math.isfinite(number := float(value)):  # of what was counted and timed, nothing is
        raise ValueError(f"the {name} of an operator or a component is {number}")
    return number
