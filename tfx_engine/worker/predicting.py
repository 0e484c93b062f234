"""What a configuration will cost, at the level that was asked for: what `api.estimate` and the warm worker answer.

A figure that nobody knows is None and has its reason in `missing`, under its key.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tfx_engine.estimate import count_parameters, flops_per_token
from tfx_engine.estimate.memory import memory_of_step
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.ledger import OwnError, own_error
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem, errors_among, nearest
from tfx_engine.protocol.sizes import parse_bytes
from tfx_engine.techniques.counts import chosen
from tfx_engine.techniques.devices import device_kind
from tfx_engine.trace.fake import kind_here
from tfx_engine.trace.manners import Manners
from tfx_engine.trace.peak import COMPILED, workspace_bytes
from tfx_engine.worker.fitting import Peak, needs_of, room_of, verdict
from tfx_engine.worker.step_time import Expected, expected_step
from tfx_engine.worker.tracing import trace_of

SCHEMA = 1
LEVELS = ("instant", "traced")
# What the benches found, in per cent of the peak: the median error, and what 95 of 100 stayed within
# (tests/bench/test_instant_accuracy.py, tests/bench/test_trace_accuracy.py, which fail where they find worse; on CUDA
# of 97 configurations on an H200).
BENCHED = {("cpu", "instant"): OwnError(0.6, 15.0, 0), ("cpu", "traced"): OwnError(0.001, 0.03, 0),
           ("cuda", "traced"): OwnError(0.45, 2.3, 0)}
_NO_TIME = tr_mark("The closed form does not know the time of a step; the traced estimate does.")
_COMPILED = tr_mark("The memory is that of the step without compiling: what a compiler keeps, nobody knows beforehand. "
                    "How far off that is on this machine is not known yet.")
_AS_EAGER = tr_mark("The memory is that of the step without compiling: what a compiler keeps, nobody knows beforehand.")
_SILENT = tr_mark(
    "{title} does not say which tensors it makes, so they are guessed from its matrices; the traced estimate sees them."
)
# Slots that make tensors in any case.
_MAKING = frozenset({"embedding", "position", "residual", "placement", "norm", "mixer", "attention", "feedforward",
                     "kernel", "head", "loss"})  # fmt: skip
_UNBENCHED = tr_mark("How far off predictions are on a device of this kind was never measured; a few runs of your own "
                     "on it will say it.")
_NOT_HERE = tr_mark("How far off predictions are for a GPU that is not here, and whose kernels cannot be asked, was "
                    "never measured.")
_ROUTED = tr_mark("Which experts work depends on the data; the traced estimate gives an interval.")
_NOT_TRACED = tr_mark("The step could not be traced, so this is the closed form. {reason}")
_NO_RESERVE = tr_mark("The allocator of this kind of device holds no reserve, or none that is known beforehand.")
_RESERVE_TRACED = tr_mark("What the allocator will hold is not known to the closed form; the traced estimate tells it.")
_STEP_OF_A_CPU = tr_mark("This is the step of a CPU, as there is no GPU here: the kernels of a GPU take other memory. "
                         "--set run.device=cuda predicts a step there.")


def predict(
    config: Config, level: str = "instant", device_memory: int | str | None = None, manners: Manners | None = None
) -> dict[str, Any]:
    """The figures of `tfx-workbench estimate --json`.

    `device_memory`: bytes, "24GiB" or the name of a device; None: that of the device that the configuration names,
    where it is here. Nothing is allocated. Raises `ConfigError` where the configuration cannot be run anywhere, or the
    request is wrong, and `BrokenOff` where `manners` say so.
    """
    _check_level(level)
    if isinstance(device_memory, str):
        device_memory = parse_bytes(device_memory)
    problems = [p for p in errors_among(validate(config)) if p.code != "no-such-device"]  # one may ask beforehand
    if problems:
        raise ConfigError(problems)
    return figures(config, level, device_memory, manners=manners)


def figures(
    config: Config, level: str = "instant", device_memory: int | None = None, with_time: bool = True,
    manners: Manners | None = None,
) -> dict[str, Any]:
    """`predict` for a configuration that was found right."""
    peak = _traced(config, manners) if level == "traced" else _instant(config)
    room, margin = room_of(config, device_memory), _margin(peak, config)
    needs = needs_of(peak, config, margin)
    fits, why = verdict(peak, needs, room)
    is_timed = level == "traced" and with_time
    step = expected_step(config, manners, peak.operators) if is_timed else Expected(missing={"step_ms": _NO_TIME})
    is_another = device_memory is not None and config.run.device == "auto" and device_kind(config) == "cpu"
    missing = {**step.missing, **peak.missing, **room.missing, **({"fits": why} if why else {})}
    return {
        "schema": SCHEMA, "level": peak.level, "device_kind": device_kind(config),
        "params": dataclasses.asdict(count_parameters(config)),
        "flops_per_token": dataclasses.asdict(flops_per_token(config)),
        "memory_bytes": {"peak": peak.bytes, **peak.at_peak},
        "peak_interval_bytes": {"low": peak.low_bytes, "high": peak.high_bytes},
        "category_peak_bytes": peak.category_peak, "reserved_bytes": peak.reserved_bytes,
        "step_ms": step.ms, "step_ms_error_percent": step.error_percent,
        "step_ms_error_95_percent": step.error_95_percent,
        "device_bytes": room.device_bytes, "free_bytes": room.free_bytes, "context_bytes": needs.context_bytes,
        "needs_bytes": {"low": needs.low_bytes, "high": needs.high_bytes}, "margin_percent": margin, "fits": fits,
        "error_percent": peak.error and peak.error.median, "error_95_percent": peak.error and peak.error.within_95,
        "error_runs": peak.error.runs if peak.error else 0, "as_without_compiler": config.use("compile") != "none",
        "missing": missing, "notes": [*peak.notes, *([_STEP_OF_A_CPU] if is_another else [])],
    }


def _margin(peak: Peak, config: Config) -> float:
    """What is added to a peak and taken off it, in per cent, before it is compared with a device's memory; where the
    error is not known at least what the benches found of the level."""
    benched = BENCHED.get((device_kind(config), peak.level), BENCHED["cpu", peak.level])
    return (peak.error or benched).within_95


def _instant(config: Config) -> Peak:
    memory = memory_of_step(config, device_kind(config))
    kept = workspace_bytes() if device_kind(config) == "cuda" else 0
    at_peak, category_peak = ({**of, "other": of["other"] + kept} for of in (memory.at_peak, memory.category_peak))
    error, missing = _error(config, "instant")
    missing["reserved_bytes"] = _RESERVE_TRACED if device_kind(config) == "cuda" else _NO_RESERVE
    peak = sum(at_peak.values())
    if config.use("feedforward") == "mixture_of_experts":
        missing["peak_interval_bytes"] = _ROUTED
        return Peak("instant", at_peak, category_peak, error, missing=missing)
    return Peak("instant", at_peak, category_peak, error, peak, peak, missing=missing)


def _traced(config: Config, manners: Manners | None) -> Peak:
    """The step under fake tensors; the closed form, with the reason, where that is not to be had."""
    found = trace_of(config, manners)
    if found.at_peak is None or found.category_peak is None:
        closed = _instant(config)
        missing = {"traced": _NOT_TRACED.format(reason=found.note)}
        return dataclasses.replace(closed, missing={**closed.missing, **missing})
    error, missing = _error(config, "traced")
    if found.low_bytes is None:
        missing["peak_interval_bytes"] = found.note
    if found.reserved_bytes is None:
        missing["reserved_bytes"] = _NO_RESERVE
    return Peak("traced", found.at_peak, found.category_peak, error, found.low_bytes, found.high_bytes,
                found.reserved_bytes, found.operators, missing, tuple(n for n in found.notes if n != COMPILED))


def _error(config: Config, level: str) -> tuple[OwnError | None, dict[str, str]]:
    """How far off a level was on the user's own runs; before there are enough, on those of the benches."""
    silent = next((t.title for t, _ in chosen(config) if t.slot in _MAKING and t.memory is None), "")
    if level == "instant" and silent:
        return None, {"error_percent": _SILENT.format(title=silent)}
    is_compiled = config.use("compile") != "none"
    kind = device_kind(config)
    own = own_error(kind, level, is_compiled)
    if is_compiled:
        return own, {"compiled": _AS_EAGER} if own else {"error_percent": _COMPILED}
    benched = BENCHED.get((kind, level))
    if benched and not own and kind_here(kind) != kind:  # it was found with the card's own kernels
        return None, {"error_percent": _NOT_HERE}
    if found := own or benched:
        return found, {}
    return None, {"error_percent": _UNBENCHED}


def _check_level(level: str) -> None:
    if level in LEVELS:
        return
    near = nearest(str(level), LEVELS)
    raise ConfigError([Problem(
        code="unknown-level", path="level", template="is {level!r}, which this program does not know.",
        hint_template="Did you mean {near!r}?" if near else "Choose 'instant' or 'traced'.",
        args={"level": str(level), "near": near},
    )])

