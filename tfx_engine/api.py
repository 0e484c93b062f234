"""The Python surface: load a configuration, build its model, estimate it, run it.

    import tfx_engine.api as tfx
    config = tfx.load_config("five.toml")
    model = tfx.build_model(config)
    path = tfx.run(config, store="runs/")
"""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.marker import tr_mark
from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.protocol.problems import ConfigError, Problem, errors_among
from tfx_engine.protocol.toml import dumps, read_toml
from tfx_engine.runfile.create import create
from tfx_engine.runfile.store import default_store, new_run_path

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ConfigError", "build_model", "estimate", "load_config", "run"]

ESTIMATE_SCHEMA = 1
_MEASURED_ONLY = ("memory_bytes", "category_peak_bytes", "step_ms", "fits", "error_percent")
_NOT_YET = tr_mark("The closed form knows parameters and FLOPs; this one is measured in a run.")


def load_config(source: str | os.PathLike[str] | Mapping[str, Any]) -> Config:
    """The complete configuration in a TOML file, or in a dict; what is left out takes its default.

    Raises `ConfigError` carrying every `Problem`.
    """
    data = source if isinstance(source, Mapping) else read_toml(Path(source))
    config, problems = parse_config(data)
    if problems:
        raise ConfigError(problems)
    return config


def build_model(config: Config, device: str = "cpu") -> nn.Module:
    """The transformer of a configuration: tokens [B, T] int64 -> logits [B, T, V]. The same seed, the same weights.

    Of a task that asks for a class: frames [B, T, F] -> logits [B, classes].

    Raises `ConfigError` where a technique or the device refuses.
    """
    from tfx_engine.model.assemble import assemble
    from tfx_engine.model.validate import pick_device

    return assemble(config, pick_device(device))


def estimate(config: Config, level: str = "instant") -> dict[str, Any]:
    """What a configuration costs, from closed forms. What they do not know is None, with its reason in `missing`.

    Raises `ConfigError` for a level that there is not.
    """
    if level != "instant":
        raise ConfigError([Problem(
            code="unknown-level", path="level", template="is {level!r}, which this program does not know.",
            hint_template="Choose 'instant'.", args={"level": level},
        )])
    from tfx_engine.estimate import count_parameters, flops_per_token

    return {
        "schema": ESTIMATE_SCHEMA,
        "level": level,
        "params": dataclasses.asdict(count_parameters(config)),
        "flops_per_token": dataclasses.asdict(flops_per_token(config)),
        "memory_bytes": dict.fromkeys(("peak", *CATEGORIES)),
        "category_peak_bytes": dict.fromkeys(CATEGORIES),
        "step_ms": None,
        "fits": None,
        "error_percent": None,
        "missing": dict.fromkeys(_MEASURED_ONLY, _NOT_YET),
    }


def run(config: Config, store: str | os.PathLike[str] | None = None) -> Path:
    """Train and measure a configuration in this process; returns the run file, which says how it ended.

    Raises `ConfigError` where a technique, the data or the device refuses, and `RunFileError` where the store cannot be
    written. A failure of the run itself is in the file.
    """
    from tfx_engine.model.validate import validate
    from tfx_engine.worker.run import execute

    problems = errors_among(validate(config))
    if problems:
        raise ConfigError(problems)
    folder = Path(store or config.run.store or default_store())
    path = new_run_path(folder, config.name, datetime.datetime.now())
    create(path, config, dumps(config.as_dict()))
    execute(path)
    return path
