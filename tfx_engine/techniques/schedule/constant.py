"""Constant schedule: the learning rate stays as it is.

What it is: every step uses the optimizer's learning rate. If rising steps are asked for, the first of them go up to it
in a straight line, so that an adaptive optimizer can learn the size of the gradients before it takes full steps.

Formula, for step t from 0, w of them rising:
    factor(t) = min(1, (t + 1) / w)        and 1 where w = 0

What it costs: nothing to compute and nothing to remember. What it may cost is loss: at a constant rate the weights
never settle, they go on wandering around the bottom of their valley at a distance that the rate decides. A decline at
the end, as in the other schedules, brings the loss down visibly within the last tenth of a run. The advantage is that
no step knows how long the run will be: a run can be cut short, or go on, and two runs of different length agree as far
as both go. That is why this is the default here, where runs are short and are compared step by step.

When to choose it: in comparisons of speed and memory, where the loss is a bystander; when the length of a run is not
known; and as the long middle of a run whose decline is trained apart. Give it some rising steps with post-norm, with
large learning rates or with a large β₂. When not: when the final loss is what counts.

Paper: Robbins, Monro, "A Stochastic Approximation Method" (1951) is where declining rates come from; the rise: Goyal
and others (2017), arXiv:1706.02677.
"""

from __future__ import annotations

import dataclasses

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.techniques.claims import Schedules
from tfx_engine.techniques.schedule import Factor, check_rise, rising_option
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    warmup_steps: int = rising_option(0)


def build(options: Options, total_steps: int) -> Factor:
    """The factor at each step."""
    rising = options.warmup_steps
    return lambda step: min(1.0, (step + 1) / rising) if rising else 1.0


def reference(options: Options, total_steps: int, step: int) -> float:
    """A table of all steps, from which one is read."""
    rise = [(t + 1) / options.warmup_steps for t in range(options.warmup_steps)]
    return (rise + [1.0] * total_steps)[step]


TECHNIQUE = Technique(
    module=__name__,
    slot="schedule",
    order=0,
    title="Constant",
    short="constant",
    summary="The learning rate stays as it is, after a rise where one is asked for.",
    paper="Robbins & Monro 1951",
    guide=Guide(
        choose="runs are short or are to be compared at any step: every step is alike.",
        avoid="the final loss matters: without a decline at the end the weights never settle.",
    ),
    build=build,
    reference=reference,
    options=Options,
    check=check_rise,
    effects=(Effect(quantity="time", sign="0", formula="0"),),
    claims=(Schedules(),),
)
