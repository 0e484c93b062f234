"""What the runs of one configuration measured of a metric, as `contrasts` wants it."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfx_engine.protocol.status import ENDED
from tfx_workbench.analysis.contrasts import Sample, Turns, key_of, sample
from tfx_workbench.analysis.rounds import Blocks, blocks_of, role
from tfx_workbench.runs.interval import Floats, finite

if TYPE_CHECKING:
    from tfx_workbench.runs.rundata import RunData

SERIES = ("tokens_per_s", "step_ms")
EXACT = {"peak_bytes": ("memory_bytes", "peak"), "params": ("params", "total"),
         "flops_per_token": ("flops_per_token", "hardware")}  # fmt: skip

# What a panel shows is made anew many times a second, and ended runs do not change: they are read once.
_read: weakref.WeakKeyDictionary[Any, dict[str, tuple[tuple[str, int], Any]]] = weakref.WeakKeyDictionary()


def measurements(runs: Sequence[RunData], metric: str) -> Sample:
    """One metric of the runs of one configuration, no two of which have the same seed, or of a single run."""
    seeds = tuple(map(seed_of, runs))
    if metric in SERIES:
        keys = [key_of(_series(run, "step_ms")) for run in runs]
        turns = {run.info.comparison: Turns(key, {place: found[metric] for place, found in blocks.items()})
                 for run, key in zip(runs, keys, strict=True) if (blocks := _blocks(run))}
        return sample([_series(run, metric) for run in runs], seeds=seeds, keys=keys, turns=turns)
    if metric == "loss":
        return sample([_lone(run.summary()["loss"]["final"]) for run in runs], seeds=seeds)
    table, name = EXACT[metric]
    return sample([_lone(run.summary()[table][name]) for run in runs], is_exact=True, seeds=seeds)


def seed_of(run: RunData) -> int:
    """The seed of a run."""
    return int(run.info.config.get("seed", 0))


def is_measured(run: RunData) -> bool:
    """Whether a run has measured steps, and will have no more."""
    return run.info.status in ENDED and bool(run.summary()["measured_steps"])


def _series(run: RunData, metric: str) -> Floats:
    """The measured steps of a run."""
    found: Floats = _once(run, metric, lambda: finite(run.every_measured(metric)))
    return found


def _blocks(run: RunData) -> Blocks:
    """Its blocks, where it took turns."""
    found: Blocks = _once(run, "turns", lambda: blocks_of(run)) if role(run) and run.info.comparison else {}
    return found


def _once(run: RunData, name: str, read: Any) -> Any:
    if run.info.status not in ENDED:
        return read()
    mark = (run.info.status, int(run.summary()["measured_steps"]))
    held = _read.setdefault(run, {})
    if name not in held or held[name][0] != mark:
        held[name] = mark, read()
    return held[name][1]


def _lone(value: float | None) -> list[float]:
    return [] if value is None else [float(value)]
