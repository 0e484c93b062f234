"""The Python surface: load a configuration, build its model, estimate it, run it.

    import tfx_engine.api as tfx
    config = tfx.load_config("five.toml")
    model = tfx.build_model(config)
    path = tfx.run(config, store="runs/")
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfx_engine.client.own import keep_up
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.problems import ConfigError, errors_among
from tfx_engine.protocol.toml import dumps, read_toml
from tfx_engine.runfile.create import create
from tfx_engine.runfile.store import default_store, new_run_path

if TYPE_CHECKING:
    from torch import nn

__all__ = ["ConfigError", "build_model", "estimate", "load_config", "run"]


def load_config(source: str | os.PathLike[str] | Mapping[str, Any]) -> Config:
    """The complete configuration in a TOML file, or in a dict; what is left out takes its default.

    Raises `ConfigError` carrying every `Problem`.
    """
    keep_up()
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


def estimate(
    config: Config, level: str = "instant", device_memory: int | str | None = None
) -> dict[str, Any]:
    """What a configuration costs. What is not known is None, with its reason in `missing`.

    `level`: "instant", by closed forms, or "traced", by one step without numbers. `device_memory`: bytes, "24GiB" or
    the name of a device, where that of another than this machine's is meant. Raises `ConfigError` for what cannot be
    run anywhere, for a level that there is not and for a size that is none.
    """
    from tfx_engine.worker.predicting import predict

    return predict(config, level, device_memory)


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
