"""Warm-up and linear: the learning rate rises in a straight line, then falls in a straight line.

What it is: the plainest schedule that begins gently and ends gently. Small steps while the optimizer's means are still
rough, full steps for one moment, then ever smaller ones, so that the weights settle. BERT and most fine-tuning since
have used it.

Formula, for step t from 0 of n steps, w of them rising, towards the share f:
    t < w:  (t + 1) / w
    else:   f + (1 - f) · (n - t) / (n - w)

The share f is reached one step after the last, so with f = 0 the last step still moves the weights a little.

What it costs: nothing but the need to know the number of steps beforehand. A run that is stopped early has not had its
decline, and its loss says less than it could; two runs of different length have different rates at the same step, and
must not be compared step by step.

When to choose it: for fine-tuning, for anything that is compared with BERT, and when a run's length is fixed and one
wants as few knobs as possible. For pre-training of language models a decline all the way to zero has been reported to
beat a cosine that stops at a tenth. When not: if the run may be extended, use `wsd`, whose middle does not depend on
the length; if steps are compared across runs, use `constant`.

Paper: Devlin and others, "BERT" (2018), arXiv:1810.04805; for declines to zero: Bergsma and others, "Straight to Zero"
(2025), arXiv:2502.15938; the rise: Goyal and others (2017), arXiv:1706.02677.
"""

from __future__ import annotations

import dataclasses

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
        0.0, kind="float", label="final share", low=0.0, high=1.0,
        help="Share of the learning rate towards which it falls; it is reached one step after the last.",
    )


def build(options: Options, total_steps: int) -> Factor:
    """The factor at each step; after the run it stays at the final share."""
    rising = rising_steps(options.warmup_steps, total_steps)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        left = max(0, total_steps - step) / max(1, total_steps - rising)
        return options.final + (1 - options.final) * left

    return factor


def reference(options: Options, total_steps: int, step: int) -> float:
    """A table of all steps, from which one is read."""
    rising = rising_steps(options.warmup_steps, total_steps)
    rise = [(t + 1) / rising for t in range(rising)]
    n = total_steps - rising
    fall = [1.0 - (1.0 - options.final) * t / n for t in range(n)]
    return (rise + fall)[step]


TECHNIQUE = Technique(
    module=__name__,
    slot="schedule",
    order=2,
    title="Warm-up and linear",
    short="linear",
    summary="The learning rate rises in a straight line, then falls in a straight line.",
    paper="Devlin et al. 2018, arXiv:1810.04805",
    guide=Guide(
        choose="the number of steps is known: the usual choice for fine-tuning, with nothing to tune but the rise.",
        avoid="the run may be extended, or runs of different length are compared step by step.",
    ),
    build=build,
    reference=reference,
    options=Options,
    check=check_rise,
    effects=(Effect(quantity="time", sign="0", formula="0"),),
    claims=(Schedules(),),
)
