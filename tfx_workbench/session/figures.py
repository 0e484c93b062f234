"""The key figures of a run, as the table and the top bar show them; computed beside the window, never in it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tfx_workbench.analysis.statistics import Effect, effect, exact_effect
from tfx_workbench.runs.interval import Floats, Interval
from tfx_workbench.session.shared_run import SharedRun


@dataclasses.dataclass(frozen=True, eq=False)
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
    # tokens/s of the measured steps
    speeds: Floats = dataclasses.field(default_factory=lambda: np.empty(0), repr=False)

    def light(self) -> Figures:
        """The same without the values of single steps: a long list of runs takes little memory."""
        return dataclasses.replace(self, speeds=np.empty(0))

    def without_values(self) -> tuple[Any, ...]:
        """Everything that is shown, to see whether it changed."""
        return tuple(getattr(self, f.name) for f in dataclasses.fields(self) if f.name != "speeds")


@dataclasses.dataclass(frozen=True)
class Effects:
    """How a run differs from the baseline."""

    speed: Effect | None = None
    memory: Effect | None = None


def figures_of(run: SharedRun) -> Figures:
    """The figures of a run that was refreshed."""
    with run.lock:
        summary, progress = run.summary(), run.progress()
        speeds = run.measured("tokens_per_s").copy()
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
        overhead_percent=summary["overhead_percent"], speeds=speeds[np.isfinite(speeds)],
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


def effects_of(baseline: Figures, other: Figures) -> Effects:
    """The differences of one run to the baseline."""
    speed = effect(baseline.speeds, other.speeds) if len(baseline.speeds) and len(other.speeds) else None
    known = baseline.peak_bytes is not None and other.peak_bytes is not None
    return Effects(speed, exact_effect(baseline.peak_bytes, other.peak_bytes) if known else None)


def _interval(values: dict[str, Any]) -> Interval:
    low, high = (float("nan") if values[k] is None else float(values[k]) for k in ("low", "high"))
    return Interval(float(values["median"]), low, high)
