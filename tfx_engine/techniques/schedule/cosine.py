"""Warm-up and cosine: the learning rate rises in a straight line, then falls along half a cosine.

What it is: small steps while the optimizer's means are still rough, full steps in the middle, small ones at the end so
that the weights settle. Compared with a straight line, a cosine stays near the top for longer, crosses the middle
faster and arrives gently. It became the standard of language models with GPT-3, usually with a rise of a few hundred
to a few thousand steps and a decline to a tenth of the rate.

Formula, for step t from 0 of n steps, w of them rising, down to the share f:
    t < w:  (t + 1) / w
    else:   f + (1 - f) · (1 + cos(π · (t - w) / (n - w - 1))) / 2

The share f is reached at the last step.

What it costs: nothing to compute, but the number of steps must be known beforehand. The losses of a cosine run mean
what they promise only at its end: Hoffmann and others showed that a model judged in the middle of a longer schedule
looks worse than one whose schedule ended there, which had misled earlier scaling laws. Runs of different length differ
from the first falling step on.

When to choose it: when the number of steps is known and the final loss matters; it forgives a rate somewhat too large,
because much of the run is spent below it. Post-norm wants the rise. When not: if the run may be extended, or if several
lengths are wanted, `wsd` reaches about the same loss without starting anew; step-by-step comparisons want `constant`.

Paper: Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2016), arXiv:1608.03983; Hoffmann and
others, "Training Compute-Optimal Large Language Models" (2022), arXiv:2203.15556; the rise: Goyal and others (2017),
arXiv:1706.02677.
"""

from __future__ import annotations

import dataclasses
import math

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import Schedules
from tfx_engine.techniques.schedule import Factor, check_rise, rising_option, rising_steps
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    warmup_steps: int | None = rising_option()
    final: float = option(
        0.1, kind="float", label="final share", low=0.0, high=1.0,
        help="Share of the learning rate that is left at the last step.",
    )


def build(options: Options, total_steps: int) -> Factor:
    """The factor at each step; after the last step it stays at the final share."""
    rising = rising_steps(options.warmup_steps, total_steps)
    falling = max(1, total_steps - rising - 1)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        progress = min(1.0, (step - rising) / falling)
        return options.final + (1 - options.final) * 0.5 * (1 + math.cos(math.pi * progress))

    return factor


def reference(options: Options, total_steps: int, step: int) -> float:
    """A table of all steps, from which one is read."""
    rising = rising_steps(options.warmup_steps, total_steps)
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
    check=check_rise,
    effects=(Effect(quantity="time", sign="0", formula="0"),),
    claims=(Schedules(),),
)
