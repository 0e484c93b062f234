"""Warm-up and cosine: the learning rate rises in a straight line, then falls along half a cosine.

What it is: small steps while the optimizer's means are still rough, full steps in the middle, small ones at the end so
that the weights settle.

Formula, for step t from 0 of n steps, w of them rising, down to the share f:
    t < w:  (t + 1) / w
    else:   f + (1 - f) · (1 + cos(π · (t - w) / (n - w - 1))) / 2

What it costs: nothing but the need to know the number of steps beforehand.

Paper: Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2016), arXiv:1608.03983; the rise:
Goyal and others (2017), arXiv:1706.02677.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.schedule import Factor
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    warmup_steps: int | None = option(
        None, kind="int", label="rising steps", low=0, high=1_000_000_000, unit="steps",
        automatic="a tenth of all steps",
        help="Steps over which the learning rate rises, counted from the first step of the run.",
    )
    final: float = option(
        0.1, kind="float", label="final share", low=0.0, high=1.0,
        help="Share of the learning rate that is left at the last step.",
    )


def check(options: Options, config: Config) -> Iterator[Problem]:
    """The rise must end before the run does."""
    total = config.run.warmup_steps + config.run.measure_steps
    if options.warmup_steps is not None and options.warmup_steps >= total:
        yield Problem(
            code="out-of-range", path="techniques.schedule.warmup_steps",
            template="is {value}, but the run has only {total} steps: the learning rate would never stop rising.",
            hint_template="Choose fewer than {total}, or more measure_steps.",
            args={"value": options.warmup_steps, "total": total},
        )


def _rising(options: Options, total_steps: int) -> int:
    return total_steps // 10 if options.warmup_steps is None else options.warmup_steps


def build(options: Options, total_steps: int) -> Factor:
    """The factor at each step; after the last step it stays at the final share."""
    rising = _rising(options, total_steps)
    falling = max(1, total_steps - rising - 1)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        progress = min(1.0, (step - rising) / falling)
        return options.final + (1 - options.final) * 0.5 * (1 + math.cos(math.pi * progress))

    return factor


def reference(options: Options, total_steps: int, step: int) -> float:
    """A table of all steps, from which one is read."""
    rising = _rising(options, total_steps)
    rise = [(t + 1) / rising for t in range(rising)]
    n = total_steps - rising
    fall = [math.cos(math.pi * t / max(1, n - 1) / 2) ** 2 for t in range(n)]  # cos²(a / 2) = (1 + cos a) / 2
    return (rise + [options.final + (1 - options.final) * share for share in fall])[step]


TECHNIQUE = Technique(
    module=__name__,
    slot="schedule",
    order=1,
    title="Warm-up and cosine",
    short="cosine",
    summary="The learning rate rises in a straight line, then falls along half a cosine.",
    paper="Loshchilov & Hutter 2016, arXiv:1608.03983",
    guide=Guide(
        choose="the number of steps is known and the final loss matters; post-norm wants the rise.",
        avoid="runs of different length are compared step by step: their rates differ.",
    ),
    build=build,
    reference=reference,
    options=Options,
    check=check,
    effects=(Effect(quantity="time", sign="0", formula="0"),),
)
