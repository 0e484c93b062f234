"""The tasks by name."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.data import synthetic, text
from tfx_engine.data.task import Task
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import Problem


def make_task(config: Config) -> Task:
    """The task of a configuration. Raises ConfigError where its data cannot be had."""
    match config.data.task:
        case "copy":
            return synthetic.CopyTask(config)
        case "recall":
            return synthetic.RecallTask(config)
        case _:
            return text.TextTask(config)


def check(config: Config) -> Iterator[Problem]:
    """Every problem of a configuration's data."""
    yield from (text.check if config.data.task == "text" else synthetic.check)(config)
