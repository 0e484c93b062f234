"""The figures of one run under the keys of `show --json`.

A figure that is not known is None and has its reason under its dotted key in `missing`; 0 means zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.protocol.status import ENDED
from tfx_engine.protocol.tasks import TASKS
from tfx_workbench.runs.interval import Floats, Interval, median_interval
from tfx_workbench.runs.utilisation import utilisation

if TYPE_CHECKING:
    from tfx_engine.runfile.rows import Audited, MemoryProbe
    from tfx_workbench.runs.rundata import RunData

Measured = Callable[[str], Floats]
SCHEMA = 1
NO_STEPS = tr_mark("no step was measured")
NOT_BUILT = tr_mark("the model was not built")
NO_SPLIT = tr_mark("the memory was not split into categories")
NOT_YET = tr_mark("the run has not ended")
NOT_EVALUATED = tr_mark("no evaluation on the held-out data")
NO_ANSWERS = tr_mark("text has no one right answer to count; its figure is bits per byte")
NO_OVERHEAD = tr_mark("the cost of measuring was not measured")
MOST_WARNINGS = 20
NO_ENERGY = tr_mark("the energy of the device was not read")
FEW_PAIRS = tr_mark("too few steps without probes could be compared with their neighbours")
NO_STAND = tr_mark("no audit has said on what it was tried")
NOT_SAID = tr_mark("the last evaluation did not say it")
# Where a run file gives the reason of a missing reading under the name of its column.
COLUMN_OF = {
    "memory_bytes.peak": "allocated_bytes", "memory_bytes.step_peak": "allocated_bytes",
    "memory_bytes.reserved": "reserved_bytes", "memory_bytes.device": "device_bytes", "memory_bytes.rss": "rss_bytes",
    "energy_j.per_step": "energy_j", "energy_j.per_token": "energy_j",
    "loss.held_out": "held_out_loss", "loss.bits_per_byte": "held_out_loss", "accuracy": "held_out_loss",
}


class _Figures:
    """Collects figures; a None takes along its reason."""

    def __init__(self, recorded: Mapping[str, str]) -> None:
        self.recorded = recorded
        self.missing: dict[str, str] = {}

    def known(self, key: str, value: Any, reason: str) -> Any:
        """`value`; where it is None or not finite, None, with the recorded reason or else `reason`."""
        if isinstance(value, float) and not math.isfinite(value):
            value = None
        if value is None:
            recorded = self.recorded.get(key) or self.recorded.get(COLUMN_OF.get(key, ""))
            self.missing.setdefault(key, recorded or reason)
        return value

    def group(self, key: str, values: Mapping[str, Any], reason: str) -> dict[str, Any]:
        """`known` for every entry."""
        return {name: self.known(f"{key}.{name}", value, reason) for name, value in values.items()}


def summarise(run: RunData, measured: Measured) -> dict[str, Any]:
    """The summary of a run; keys as in the command line's contract, and a few more.

    `measured` gives the values of a column at the steps that count.
    """
    info, facts, figures = run.info, run.facts, _Figures(run.missing)
    step_ms = median_interval(measured("step_ms"))
    result = {
        "schema": SCHEMA, "run": str(run.path), "run_id": info.run_id, "name": info.name, "status": info.status,
        "reason": info.reason, "pid": figures.known("pid", info.pid, tr_mark("no worker has taken the run")),
        "created_at": info.created_at, "comparison": info.comparison, "steps": len(run.steps),
        "measured_steps": step_ms.count, "left_out_steps": run.steps.tainted,
        "disturbed_steps": run.steps.disturbed,
        "device": figures.known("device", facts.get("device"), NOT_BUILT),
        "params": figures.group("params", _pick(facts, "params", ("total", "trainable")), NOT_BUILT),
        "tokens_per_s": _interval(figures, "tokens_per_s", _throughput(measured("tokens_per_s"), step_ms)),
        "step_ms": _interval(figures, "step_ms", step_ms),
        "time_ms": figures.known("time_ms", step_times(run), _no_times(run)),
        "memory_bytes": _memory(run, figures, measured), "category_peak_bytes": _category_peaks(run, figures),
        "predicted": figures.known("predicted", _nested(run.predictions), tr_mark("nothing was predicted")),
        "loss": _losses(run, figures),
        "accuracy": figures.known("accuracy", _last(run, "accuracy"), _no_accuracy(run)),
        "flops_per_token": figures.group(
            "flops_per_token", _pick(facts, "flops_per_token", ("model", "hardware")), tr_mark("not counted")
        ),
        **utilisation(facts, step_ms.median, figures),
        "overhead_percent": figures.known("overhead_percent", facts.get("overhead_percent"), NO_OVERHEAD),
        "learns": figures.known("learns", facts.get("learns"), NOT_YET if run.is_live else NO_STEPS),
        "overhead": _overhead(facts, figures),
        "energy_j": figures.group("energy_j", _pick(facts, "energy_j", ("per_step", "per_token")), NO_ENERGY),
        "audit": [_audited(row) for row in newest_audit(run)],
        "audit_stand": figures.known("audit_stand", facts.get("audit_stand"), NO_STAND),
        "warnings": _warnings(run),
    }
    if not run.audit or run.missing.get("audit"):  # an empty reason: it was made up for later
        figures.known("audit", None, tr_mark("the run was not audited"))
    figures.missing.update({key: reason for key, reason in run.missing.items() if key.startswith("predicted.")})
    return {**result, "missing": figures.missing}


def _warnings(run: RunData) -> list[dict[str, Any]]:
    """The newest of what the run was warned of, and of what went wrong in it."""
    told = [event for event in run.events if event.kind in ("warning", "problem")]
    return [{"code": event.code, "message": event.message, "args": event.args} for event in told[-MOST_WARNINGS:]]


def newest_audit(run: RunData) -> list[Audited]:
    """What the last audit of each claim found, in order: a run may be audited again."""
    return list({(row.slot, row.technique, row.claim): row for row in run.audit}.values())


def _audited(row: Audited) -> dict[str, Any]:
    """One claim and what came of trying it: `ok` is null where it could not be tried, `detail` says why."""
    return {
        "technique": row.technique, "slot": row.slot, "claim": row.claim, "ok": row.ok, "detail": row.message,
        "code": row.code,
    }


def _overhead(facts: Mapping[str, Any], figures: _Figures) -> dict[str, Any]:
    """What measuring costs, per cent of the time of the measured steps: in all with its interval, and its parts.

    `step`: of a step with probes in it, which `probed` of the steps have. `captures`: all that is read between steps.
    `once_ms`: what was read before these steps and after them, which is in no other figure. `why_over`: why it is more
    than its budget; empty where it is not.
    """
    found = facts.get("overhead") or {}
    captures = found.get("captures_percent")
    values = {
        "percent": found.get("percent"), "low": found.get("low"), "high": found.get("high"),
        "step": found.get("step_percent"), "probed": found.get("probed_percent"),
        "captures": sum(captures.values()) if isinstance(captures, dict) else None,
        "budget": found.get("budget_percent"), "comparisons": found.get("comparisons"),
        "once_ms": sum(found["once_ms"].values()) if "once_ms" in found else None,
    }
    reason = FEW_PAIRS if found else figures.recorded.get("overhead_percent") or NO_OVERHEAD
    return {**figures.group("overhead", values, reason), "why_over": found.get("why_over", "")}


def _pick(facts: Mapping[str, Any], fact: str, names: tuple[str, ...]) -> dict[str, Any]:
    values = facts.get(fact) or {}
    return {name: values.get(name) for name in names}


def _interval(figures: _Figures, key: str, interval: Interval) -> dict[str, Any]:
    values = interval.as_dict()
    reason = NO_STEPS if interval.count == 0 else tr_mark("one measured step has no interval")
    return {name: figures.known(f"{key}.{name}", value, reason) for name, value in values.items()}


def _throughput(values: Floats, step_ms: Interval) -> Interval:
    """Tokens/s; its interval is that of the step time turned over, as every step has the same number of tokens."""
    values = values[np.isfinite(values)]
    if not len(values):
        return Interval(math.nan, math.nan, math.nan, 0)
    median = float(np.median(values))
    tokens_ms = median * step_ms.median
    return Interval(median, _ratio(tokens_ms, step_ms.high), _ratio(tokens_ms, step_ms.low), step_ms.count)


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else math.nan


def _memory(run: RunData, figures: _Figures, measured: Measured) -> dict[str, Any]:
    """The highest peak that was split, with its composition, beside what else was read at measured steps.

    `step_peak` is the highest peak of all measured steps, also of those that were not split.
    """
    probe = highest_probe(run.memory_probes)
    values: dict[str, Any] = {
        "peak": probe.peak_bytes if probe else None,
        "reserved": _highest(measured, "reserved_bytes"), "device": _highest(measured, "device_bytes"),
        "rss": _highest(measured, "rss_bytes"), "step_peak": _highest(measured, "allocated_bytes"),
        **{name: probe.composition[name] if probe else None for name in CATEGORIES},
    }
    if run.memory_probes and values["step_peak"] is None:
        figures.known("memory_bytes.step_peak", None, tr_mark("here only steps whose memory is split know their peak"))
    return figures.group("memory_bytes", values, _memory_reason(run))


def highest_probe(probes: list[MemoryProbe]) -> MemoryProbe | None:
    """The probe with the highest peak, among those of measured steps where there are any."""
    measured = [probe for probe in probes if probe.phase in ("measure", "probe")]
    return max(measured or probes, key=lambda probe: probe.peak_bytes, default=None)


def _memory_reason(run: RunData) -> str:
    if run.memory_probes:
        return tr_mark("this device does not report it")
    return run.missing.get("memory_split") or (NO_SPLIT if run.info.status in ENDED else NOT_YET)


def _highest(measured: Measured, column: str) -> int | None:
    values = measured(column)
    values = values[np.isfinite(values)]
    return int(values.max()) if len(values) else None


def _category_peaks(run: RunData, figures: _Figures) -> dict[str, Any]:
    """Each category's own highest value over all probes."""
    probes = run.memory_probes
    values = {name: max((probe.category_peak[name] for probe in probes), default=None) for name in CATEGORIES}
    return figures.group("category_peak_bytes", values, _memory_reason(run))


def step_times(run: RunData) -> dict[str, Any] | None:
    """Where the time of a step goes, in ms: by part and by component, each adding up to `step`; None: not profiled.

    `profiled_step` is what a step took under the profiler, which slows it down.
    """
    if not run.profile_parts:
        return None
    by: dict[str, dict[str, float]] = {"part": {}, "component": {}}
    for row in run.profile_parts:
        for kind, name in (("part", row.part), ("component", row.component)):
            by[kind][name] = by[kind].get(name, 0.0) + row.ms
    profiled = (run.facts.get("profile") or {}).get("profiled_ms")
    return {"step": sum(row.ms for row in run.profile_parts), "profiled_step": profiled, **by}


def _no_times(run: RunData) -> str:
    return tr_mark("the run ended before a step was profiled") if run.info.status in ENDED else NOT_YET


def _losses(run: RunData, figures: _Figures) -> dict[str, Any]:
    values = {"first": run.steps.first_loss, "final": run.steps.last_loss}
    reason = tr_mark("the loss was not a number") if len(run.steps) else NO_STEPS
    return {
        **figures.group("loss", values, reason),
        "held_out": figures.known("loss.held_out", _last(run, "held_out_loss"), NOT_EVALUATED),
        "bits_per_byte": figures.known("loss.bits_per_byte", _last(run, "bits_per_byte"), _no_bits(run)),
    }


def _last(run: RunData, name: str) -> float | None:
    """What the last evaluation on held-out data says."""
    return getattr(run.evaluations[-1], name) if run.evaluations else None


def _no_accuracy(run: RunData) -> str:
    if not run.evaluations:
        return NOT_EVALUATED
    card = TASKS.get(str(run.info.config["data"].get("task")))
    return NO_ANSWERS if card is not None and not card.accuracy else NOT_SAID


def _no_bits(run: RunData) -> str:
    if not run.evaluations:
        return NOT_EVALUATED
    return NOT_SAID if run.info.config["data"].get("task") == "text" else tr_mark("the task is not made of text")


def _nested(predictions: Mapping[str, Any]) -> dict[str, Any] | None:
    """`{"memory_bytes.peak": p, ...}` as nested tables; None where there is nothing."""
    result: dict[str, Any] = {}
    for key, prediction in predictions.items():
        *tables, name = key.split(".")
        table = result
        for part in tables:
            table = table.setdefault(part, {})
        table[name] = prediction.value
        result.setdefault("level", prediction.level)
    if "memory_bytes.peak" in predictions:  # the time of a step may be known at another level
        result["level"] = predictions["memory_bytes.peak"].level
    return result or None
