"""What a configuration will cost, at the level that was asked for: what `api.estimate` and the warm worker answer.

A figure that nobody knows is None and has its reason in `missing`, under its key.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import psutil

from tfx_engine.estimate import count_parameters, flops_per_token
from tfx_engine.measure.memory import make_meter
from tfx_engine.model.validate import pick_device, validate
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.protocol.problems import ConfigError, Problem, errors_among, nearest
from tfx_engine.protocol.sizes import parse_bytes

SCHEMA = 1
LEVELS = ("instant", "traced")
_NO_MEMORY = tr_mark("The closed form knows parameters and FLOPs; bytes are not in it yet.")
_NO_TIME = tr_mark("The speed of this device is not known.")
_NO_CAPACITY = tr_mark("How much memory the device has is not known; --device-memory says it.")
_NO_ERROR = tr_mark("This estimate does not know its own error.")


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
    missing = {"memory_bytes": _NO_MEMORY, "category_peak_bytes": _NO_MEMORY, "step_ms": _NO_TIME,
               "error_percent": _NO_ERROR}
    capacity = device_memory if device_memory is not None else _capacity(config)
    peak = None
    if peak is None or capacity is None:
        missing["fits"] = _NO_MEMORY if peak is None else _NO_CAPACITY
    return {
        "schema": SCHEMA, "level": "instant",
        "params": dataclasses.asdict(count_parameters(config)),
        "flops_per_token": dataclasses.asdict(flops_per_token(config)),
        "memory_bytes": dict.fromkeys(("peak", *CATEGORIES)),
        "category_peak_bytes": dict.fromkeys(CATEGORIES),
        "step_ms": None, "device_bytes": capacity, "fits": None, "error_percent": None, "missing": missing,
    }


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
