"""Slot `schedule`: `build(options, total_steps)` gives a function step (from 0) -> factor on the learning rate.

Every schedule may rise in a straight line first. The rise is (t + 1) / w for step t from 0, so that the first step
moves the weights already; what other libraries call a warm-up often begins with a step at rate 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem

Factor = Callable[[int], float]


def rising_option(default: int | None = None, low: int = 0) -> Any:
    """The option `warmup_steps`; a default of None is a tenth of all steps."""
    return option(
        default, kind="int", label="rising steps", low=low, high=1_000_000_000, unit="steps",
        automatic="a tenth of all steps" if default is None else "",
        help="Steps over which the learning rate rises, counted from the first step of the run.",
    )


def rising_steps(given: int | None, total_steps: int) -> int:
    """What the option says, or a tenth of all steps."""
    return total_steps // 10 if given is None else given


def rises(config: Config) -> bool:
    """Whether a configuration's learning rate rises at all before it is whole."""
    given = config.techniques["schedule"].options.get("warmup_steps")
    return rising_steps(given, config.run.warmup_steps + config.run.measure_steps) > 1


def check_rise(options: Any, config: Config) -> Iterator[Problem]:
    """The rise must end before the run does."""
    total = config.run.warmup_steps + config.run.measure_steps
    if options.warmup_steps is not None and 0 < total <= options.warmup_steps:
        yield Problem(
            code="out-of-range", path="techniques.schedule.warmup_steps",
            template="is {value}, but the run has only {total} steps: the learning rate would never stop rising.",
            hint_template="Choose fewer than {total}, or more measure_steps.",
            args={"value": options.warmup_steps, "total": total},
        )
