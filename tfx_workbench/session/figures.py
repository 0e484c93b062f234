"""The key figures of a run, as the table and the top bar show them; computed beside the window, never in it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from tfx_workbench.analysis.comparable import why_not
from tfx_workbench.analysis.compare import series_effects
from tfx_workbench.analysis.statistics import Effect, exact_effect
from tfx_workbench.runs.interval import Interval
from tfx_workbench.session.shared_run import SharedRun


@dataclasses.dataclass(frozen=True)
class Figures:
    """What is known of one run now; None where nothing is."""

    status: str
    reason: str
    name: str
    paused: bool = False
    progress: float | None = None
    eta_s: float | None = None
    tokens_per_s: Interval | None = None
    peak_bytes: int | None = None
    predicted_peak_bytes: int | None = None
    loss: float | None = None
    total: int | None = None
    trainable: int | None = None
    overhead_percent: float | None = None
    device: str = ""
    claims_held: int = 0
    claims_broken: tuple[str, ...] = ()  # each in a sentence


@dataclasses.dataclass(frozen=True)
class Effects:
    """How a run differs from the baseline, as every other table says it too; `unlike`: why that is not compared."""

    speed: Effect | None = None
    memory: Effect | None = None
    unlike: str = ""


def figures_of(run: SharedRun) -> Figures:
    """The figures of a run that was refreshed."""
    with run.lock:
        summary, progress = run.summary(), run.progress()
        device_info = run.facts.get("device")
        paused = run.is_live and is_paused(run)
    memory, speed, loss = summary["memory_bytes"], summary["tokens_per_s"], summary["loss"]
    # The peak that `show` and `compare` name: the one whose composition is known.
    peak = memory["peak"] if memory["peak"] is not None else memory["step_peak"]
    started = progress.done > 0
    return Figures(
        status=run.info.status, reason=run.info.reason, name=run.info.name, paused=paused,
        progress=progress.fraction if started else None, eta_s=None if paused else progress.eta_s,
        tokens_per_s=_interval(speed) if speed["median"] is not None else None,
        peak_bytes=peak, predicted_peak_bytes=_predicted_peak(summary),
        loss=loss["final"], total=summary["params"]["total"], trainable=summary["params"]["trainable"],
        overhead_percent=summary["overhead_percent"],
        claims_held=sum(row["ok"] is True for row in summary["audit"]),
        claims_broken=tuple(f"{row['technique']}: {row['detail']}" for row in summary["audit"] if row["ok"] is False),
        device=str(device_info.get("name", "")) if isinstance(device_info, dict) else "",
    )


def _predicted_peak(summary: dict[str, Any]) -> int | None:
    """What was predicted, where the run's own peak is known to the allocator."""
    predicted = (summary["predicted"] or {}).get("memory_bytes", {}).get("peak")
    return int(predicted) if predicted and summary["memory_bytes"]["peak"] is not None else None


def is_paused(run: SharedRun) -> bool:
    """Whether the last thing that the worker said about pausing is that it paused."""
    words = (event.code for event in reversed(run.events))
    return next((word for word in words if word in ("paused", "resumed")), "") == "paused"


def effects_of(baseline: SharedRun, others: Mapping[str, SharedRun], figures: Mapping[str, Figures]) -> dict[
    str, Effects
]:
    """The differences of runs to the baseline, whose intervals hold all at once; `figures`: of all of them by path."""
    speeds = series_effects(baseline, list(others.values()), "tokens_per_s")
    peak, found = figures[str(baseline.path)].peak_bytes, {}
    for (key, run), speed in zip(others.items(), speeds, strict=True):
        own, unlike = figures[key].peak_bytes, why_not(baseline, run, "tokens_per_s")
        is_known = peak is not None and own is not None and not why_not(baseline, run, "peak_bytes")
        memory = exact_effect(peak, own) if is_known else None
        found[key] = Effects(speed if math.isfinite(speed.percent) else None, memory, unlike)
    return found


def _interval(values: dict[str, Any]) -> Interval:
    low, high = (float("nan") if values[k] is None else float(values[k]) for k in ("low", "high"))
    return Interval(float(values["median"]), low, high)
