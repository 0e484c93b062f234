"""Figures of a run by name, as experiments ask for them.

A name is a key of the run's summary (`show --json`), tables and keys joined by dots, or one of those below.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tfx_engine.protocol.ledger import error_percent
from tfx_workbench.runs.rundata import RunData

_LAST = 0.1  # the share of all steps that make up the end of the training


def loss_at_the_end(run: RunData) -> float | None:
    """`loss.last`: the mean training loss of the last tenth of the steps, in nats."""
    losses = run.steps.raw("loss")[: _trained(run)]
    return float(losses[-max(1, round(_LAST * len(losses))) :].mean()) if len(losses) else None


def prediction_error(run: RunData) -> float | None:
    """`predicted.error_percent`: of the peak of memory, without its sign."""
    summary = run.summary()
    predicted, measured = summary["predicted"] or {}, summary["memory_bytes"]["peak"]
    peak, bounds = (predicted.get("memory_bytes") or {}).get("peak"), predicted.get("peak_interval_bytes") or {}
    if not peak or not measured:
        return None
    return abs(error_percent(peak, measured, bounds.get("low"), bounds.get("high")))


def _trained(run: RunData) -> int:
    """How many steps were asked for: what is profiled after them changes nothing."""
    settings = run.info.config["run"]
    return int(settings["warmup_steps"]) + int(settings["measure_steps"])


_OWN: dict[str, Callable[[RunData], float | None]] = {
    "loss.last": loss_at_the_end, "predicted.error_percent": prediction_error,
}


def read_metric(run: RunData, name: str) -> float | None:
    """One figure; None where the run does not have it."""
    if name in _OWN:
        return finite(_OWN[name](run))
    found: Any = run.complete_summary()
    for key in name.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return finite(found)


def finite(value: Any) -> float | None:
    """A number as it can be kept; None for everything else."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if number and math.isfinite(value) else None
