"""Noam: the learning rate rises in a straight line, then falls with the inverse square root of the step.

What it is: the schedule of the first transformer, named in its code after one of the authors. After the rise it
declines quickly at first and ever more slowly, without an end: it does not know how long the run is, and never reaches
zero.

Formula, for step t from 0, w of them rising:
    factor(t) = min((t + 1) / w, sqrt(w / (t + 1)))

The paper states the rate itself, d^-½ · min(t^-½, t · w^(-3/2)) with t from 1. That is this factor times (d · w)^-½: it
ties the height of the peak to the width d and to the length of the rise. Here the peak is the optimizer's learning
rate, reached at step w - 1, so that schedules can be exchanged without changing the rate. To have the paper's own, set
the learning rate to (d · w)^-½: 7.0e-4 for d = 512 and w = 4000.

What it costs: nothing. A run may be extended at will, and two runs of different length agree step by step as long as
their rise is given in steps and not left to be a tenth of each.

When to choose it: to repeat results of the years 2017 to 2019, with post-norm and its need for a rise, and where the
length of training is open. When not: when the length is known, a schedule that goes down to nearly nothing (`linear`,
`cosine`, `wsd`) ends at a lower loss, since at four times the rise the rate here is still half its peak.

Paper: Vaswani and others, "Attention Is All You Need" (2017), arXiv:1706.03762, section 5.3.
"""

from __future__ import annotations

import dataclasses
import math

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.techniques.claims import Schedules
from tfx_engine.techniques.schedule import Factor, check_rise, rising_option, rising_steps
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    warmup_steps: int | None = rising_option(low=1)


def _rising(options: Options, total_steps: int) -> int:
    return max(1, rising_steps(options.warmup_steps, total_steps))


def build(options: Options, total_steps: int) -> Factor:
    """The factor at each step; it goes on falling after the run."""
    rising = _rising(options, total_steps)
    return lambda step: min((step + 1) / rising, math.sqrt(rising / (step + 1)))


def reference(options: Options, total_steps: int, step: int) -> float:
    """The paper's formula for any width, in units of its own peak."""
    w, t, d = _rising(options, total_steps), step + 1, 512

    def rate(t: int) -> float:
        return d**-0.5 * min(t**-0.5, t * w**-1.5)

    return rate(t) / max(rate(s) for s in range(1, w + 2))


TECHNIQUE = Technique(
    module=__name__,
    slot="schedule",
    order=4,
    title="Noam (inverse square root)",
    short="Noam",
    summary="The learning rate rises in a straight line, then falls with the inverse square root of the step.",
    paper="Vaswani et al. 2017, arXiv:1706.03762",
    guide=Guide(
        choose="you repeat the first transformers, or the length of training is open.",
        avoid="the number of steps is known: a decline to nearly nothing ends at a lower loss.",
    ),
    build=build,
    reference=reference,
    options=Options,
    check=check_rise,
    effects=(Effect(quantity="time", sign="0", formula="0"),),
    claims=(Schedules(),),
)
