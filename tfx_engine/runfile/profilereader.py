"""What the phase `profile` wrote: where time goes, by part, component, operator and kernel."""

from __future__ import annotations

from typing import Any, TypeVar

from tfx_engine.runfile.rows import Kernel, Operator, ProfilePart
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

    def _all(self, table: str, kind: type[Row]) -> list[Row]:
        names = COLUMNS[table]
        with self.reading():
            rows = self.rows(f"SELECT {', '.join(names)} FROM {table} ORDER BY seq")
            return [kind(**{n: _value(n, v) for n, v in zip(names, row, strict=True)}) for row in rows]


def _value(name: str, value: Any) -> Any:
    if name in _WORDS:
        return as_words(value)
    return None if value is None else float(value)
