"""One run as exhibits see it: its data, and how the session shows it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfx_workbench.runs.rundata import RunData


@dataclasses.dataclass(frozen=True)
class RunView:
    """A ticked run. `colour` is its index into the palette of runs: the same in every exhibit."""

    data: RunData
    label: str
    colour: int
    focus: bool = False
    baseline: bool = False

    @property
    def colour_name(self) -> str:
        """The name under which a palette knows the colour."""
        return f"run:{self.colour}"


def focused(runs: Sequence[RunView]) -> RunView | None:
    """The run that exhibits of a single run show: the one in focus, else the last one."""
    return next((r for r in runs if r.focus), runs[-1] if runs else None)
