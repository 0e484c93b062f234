"""The tasks by name: what makes their batches, and what finds the problems of their data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from tfx_engine.data import recall, symbols, text
from tfx_engine.data.audio import AudioTask
from tfx_engine.data.copying import CopyTask
from tfx_engine.data.digits import DigitsTask
from tfx_engine.data.induction import InductionTask
from tfx_engine.data.multi_lag import MultiLagTask
from tfx_engine.data.noise import NoiseTask
from tfx_engine.data.recall import RecallTask
from tfx_engine.data.reverse import ReverseTask
from tfx_engine.data.task import Task
from tfx_engine.data.text import TextTask
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import Problem


class _Entry(NamedTuple):
    make: Callable[[Config], Task]
    check: Callable[[Config], Iterable[Problem]] = lambda config: ()


_TASKS: dict[str, _Entry] = {
    "text": _Entry(TextTask, text.check),
    "copy": _Entry(CopyTask, symbols.check),
    "reverse": _Entry(ReverseTask, symbols.check),
    "induction": _Entry(InductionTask, symbols.check),
    "recall": _Entry(RecallTask, recall.check),
    "multi_lag": _Entry(MultiLagTask, symbols.check),
    "digits": _Entry(DigitsTask),
    "audio": _Entry(AudioTask),
    "noise": _Entry(NoiseTask),
}


def make_task(config: Config) -> Task:
    """The task of a configuration. Raises ConfigError where its data cannot be had."""
    return _TASKS[config.data.task].make(config)


def check(config: Config) -> Iterator[Problem]:
    """Every problem of a configuration's data."""
    yield from _TASKS[config.data.task].check(config)
