"""How far a run is and when it will be done."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tfx_workbench.runs.rundata import RunData

RECENT = 20  # steps whose pace the estimate goes by


@dataclasses.dataclass(frozen=True)
class Progress:
    """Steps done of those planned, warm-up included; `eta_s` is None where nothing is known yet."""

    done: int
    planned: int
    phase: str  # of the newest step; empty before the first
    eta_s: float | None

    @property
    def fraction(self) -> float:
        """Between 0 and 1."""
        return min(1.0, self.done / self.planned) if self.planned else 0.0


def progress_of(run: RunData) -> Progress:
    """The progress of a run by the pace of its newest steps, probes included."""
    settings = run.info.config["run"]
    planned = int(run.facts.get("planned_steps") or settings["warmup_steps"] + settings["measure_steps"])
    steps, t_ms = run.steps.raw("step"), run.steps.raw("t_ms")
    if not len(steps):
        return Progress(0, planned, "", None)
    done = min(int(steps[-1]), planned)  # the memory of one more step is split at the end
    recent = t_ms[-RECENT - 1 :]
    pace_ms = float(np.mean(np.diff(recent))) if len(recent) > 1 else None
    eta_s = None if pace_ms is None or not run.is_live else max(0, planned - done) * pace_ms / 1000
    return Progress(done, planned, run.steps.newest_phase, eta_s)
