"""What a configuration will cost, at the level that was asked for: what `api.estimate` and the warm worker answer.

A figure that nobody knows is None and has its reason in `missing`, under its key.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import psutil

from tfx_engine.estimate import count_parameters, flops_per_token
from tfx_engine.estimate.memory import memory_of_step
from tfx_engine.measure.memory import make_meter
from tfx_engine.model.validate import pick_device, validate
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.problems import ConfigError, Problem, errors_among, nearest
from tfx_engine.protocol.sizes import parse_bytes
from tfx_engine.techniques.devices import device_kind
from tfx_engine.trace import traced
from tfx_engine.worker.step_time import Expected, expected_step

SCHEMA = 1
LEVELS = ("instant", "traced")
# Median error of the peak in per cent, of the instant level: tests/bench/test_instant_accuracy.py.
INSTANT_ERROR = 0.6
TRACED_ERROR = 0.5  # of the traced level: the most that tests/bench/test_trace_accuracy.py allows its median
_NO_TIME = tr_mark("The closed form does not know the time of a step; the traced estimate does.")
_NO_CAPACITY = tr_mark("How much memory the device has is not known; --device-memory says it.")
_COMPILED = tr_mark("The memory is that of the step without compiling: what a compiler keeps, nobody knows beforehand.")
_NOT_TRACED = tr_mark("The step could not be traced, so this is the closed form. {reason}")
_TOO_CLOSE = tr_mark("The peak is too close to what the device has.")


@dataclasses.dataclass(frozen=True)
class _Peak:
    """What one level says of the memory. `missing`: what it does not know, by key."""

    level: str
    at_peak: dict[str, int]
    category_peak: dict[str, int]
    error_percent: float | None
    missing: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def bytes(self) -> int:
        return sum(self.at_peak.values())


def predict(config: Config, level: str = "instant", device_memory: int | str | None = None) -> dict[str, Any]:
    """The figures of `tfx-workbench estimate --json`.

    `device_memory`: bytes, "24GiB" or the name of a device; None: that of the device that the configuration names,
    where it is here. Nothing is allocated. Raises `ConfigError` where the configuration cannot be run anywhere, or the
    request is wrong.
    """
    _check_level(level)
    if isinstance(device_memory, str):
        device_memory = parse_bytes(device_memory)
    problems = [p for p in errors_among(validate(config)) if p.code != "no-such-device"]  # one may ask beforehand
    if problems:
        raise ConfigError(problems)
    return figures(config, level, device_memory)


def figures(
    config: Config, level: str = "instant", device_memory: int | None = None, with_time: bool = True
) -> dict[str, Any]:
    """`predict` for a configuration that was found right."""
    peak = _traced(config) if level == "traced" else _instant(config)
    capacity = device_memory if device_memory is not None else _capacity(config)
    fits, why = _fits(peak, capacity)
    step = expected_step(config) if level == "traced" and with_time else Expected(missing={"step_ms": _NO_TIME})
    missing = {**step.missing, **peak.missing, **({"fits": why} if why else {})}
    return {
        "schema": SCHEMA, "level": peak.level,
        "params": dataclasses.asdict(count_parameters(config)),
        "flops_per_token": dataclasses.asdict(flops_per_token(config)),
        "memory_bytes": {"peak": peak.bytes, **peak.at_peak},
        "category_peak_bytes": peak.category_peak,
        "step_ms": step.ms, "step_ms_error_percent": step.error_percent,
        "device_bytes": capacity, "fits": fits, "error_percent": peak.error_percent,
        "missing": missing,
    }


def _instant(config: Config) -> _Peak:
    memory = memory_of_step(config, device_kind(config))
    is_compiled = config.use("compile") != "none"
    return _Peak(
        "instant", memory.at_peak, memory.category_peak, None if is_compiled else INSTANT_ERROR,
        {"error_percent": _COMPILED} if is_compiled else {},
    )


def _traced(config: Config) -> _Peak:
    """The step under fake tensors; the closed form, with the reason, where that is not to be had."""
    found = traced(config, device_kind(config))
    if found.at_peak is None or found.category_peak is None:
        closed = _instant(config)
        missing = {"traced": _NOT_TRACED.format(reason=found.note)}
        return dataclasses.replace(closed, missing={**closed.missing, **missing})
    return _Peak("traced", found.at_peak, found.category_peak, TRACED_ERROR)


def _fits(peak: _Peak, capacity: int | None) -> tuple[bool | None, str]:
    """Whether it fits; None with the reason where that is not known, or too close to tell."""
    if capacity is None:
        return None, _NO_CAPACITY
    share = (peak.error_percent or 0.0) / 100
    if peak.bytes * (1 + share) <= capacity:
        return True, ""
    return (False, "") if peak.bytes * (1 - share) > capacity else (None, _TOO_CLOSE)


def _check_level(level: str) -> None:
    if level in LEVELS:
        return
    near = nearest(str(level), LEVELS)
    raise ConfigError([Problem(
        code="unknown-level", path="level", template="is {level!r}, which this program does not know.",
        hint_template="Did you mean {near!r}?" if near else "Choose 'instant' or 'traced'.",
        args={"level": str(level), "near": near},
    )])


def _capacity(config: Config) -> int | None:
    """Bytes of the device that the configuration will run on, None where it is not here."""
    try:
        device = pick_device(config.run.device)
        return make_meter(device).capacity_bytes()
    except (ConfigError, RuntimeError, psutil.Error):
        return None
