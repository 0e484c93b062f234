"""Warm-up, stable, decay: the learning rate rises, stays, and falls only in the last stretch of the run.

What it is: a constant rate with a gentle beginning and a short cooldown. For most of the run nothing depends on how
long the run will be; only the cooldown needs to know. So one long run at the constant rate can be branched at any
checkpoint, each branch getting a cooldown of its own, which gives the losses of many run lengths for the price of
little more than the longest. With cosine each length would be a run of its own.

Formula, for step t from 0 of n steps, w of them rising, c = share · n of them cooling down, towards the share f:
    t < w:      (t + 1) / w
    t < n - c:  1
    else:       f + (1 - f) · s(p),   p = (t - (n - c)) / c
    1-sqrt: s(p) = 1 - sqrt(p)        linear: s(p) = 1 - p        cosine: s(p) = (1 + cos(π p)) / 2

Where rise and cooldown would overlap, the cooldown begins when the rise is over.

What it costs: nothing to compute. During the stable stretch the loss looks worse than a cosine run's, because the
weights wander; most of the difference is made up within the cooldown. Never judge such a run before it has cooled down.

When to choose it: if the length of the run is not settled, if several lengths are to be compared, or if training is to
go on later with other data. Hägele and others found cooldowns of a tenth to a fifth of the run enough to match cosine,
and 1-sqrt better than a straight line. When not: for very short runs, where the cooldown is a handful of steps.

Paper: Hu and others, "MiniCPM" (2024), arXiv:2404.06395; Hägele and others, "Scaling Laws and Compute-Optimal Training
Beyond Fixed Training Durations" (2024), arXiv:2405.18392.
"""

from __future__ import annotations

import dataclasses
import math

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import Schedules
from tfx_engine.techniques.schedule import Factor, check_rise, rising_option, rising_steps
from tfx_engine.techniques.technique import Technique

_SHAPES = {
    "1-sqrt": lambda p: 1 - math.sqrt(p),
    "linear": lambda p: 1 - p,
    "cosine": lambda p: (1 + math.cos(math.pi * p)) / 2,
}


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    warmup_steps: int | None = rising_option()
    cooldown: float = option(
        0.2, kind="float", label="cooldown", low=0.0, high=1.0,
        help="Share of all steps, at the end of the run, over which the learning rate falls.",
    )
    shape: str = option(
        "1-sqrt", kind="choice", label="shape", choices=("1-sqrt", "linear", "cosine"),
        help="How it falls: 1-sqrt drops fast and then lingers at small rates.",
    )
    final: float = option(
        0.0, kind="float", label="final share", low=0.0, high=1.0,
        help="Share of the learning rate towards which it falls; it is reached one step after the last.",
    )


def build(options: Options, total_steps: int) -> Factor:
    """The factor at each step; after the run it stays at the final share."""
    rising = rising_steps(options.warmup_steps, total_steps)
    cooling = min(round(options.cooldown * total_steps), total_steps - rising)
    begin, shape = total_steps - cooling, _SHAPES[options.shape]

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        if step < begin or not cooling:
            return 1.0
        progress = min(1.0, (step - begin) / cooling)
        return options.final + (1 - options.final) * shape(progress)

    return factor


def reference(options: Options, total_steps: int, step: int) -> float:
    """A table of all steps, from which one is read."""
    rising = rising_steps(options.warmup_steps, total_steps)
    cooling = min(round(options.cooldown * total_steps), total_steps - rising)
    table = [(t + 1) / rising for t in range(rising)] + [1.0] * (total_steps - rising - cooling)
    for t in range(cooling):
        left = {"1-sqrt": 1 - (t / cooling) ** 0.5, "linear": (cooling - t) / cooling,
                "cosine": math.cos(math.pi * t / cooling / 2) ** 2}[options.shape]  # fmt: skip
        table.append(options.final * (1 - left) + left)
    return table[step]


TECHNIQUE = Technique(
    module=__name__,
    slot="schedule",
    order=3,
    title="Warm-up, stable, decay",
    short="WSD",
    summary="The learning rate rises, stays, and falls only in the last stretch of the run.",
    paper="Hu et al. 2024, arXiv:2404.06395",
    guide=Guide(
        choose="the length of the run is not settled, or one run is to be branched into cooldowns of several lengths.",
        avoid="the run is so short that its cooldown is a handful of steps.",
    ),
    build=build,
    reference=reference,
    options=Options,
    check=check_rise,
    effects=(Effect(quantity="time", sign="0", formula="0"),),
    claims=(Schedules(),),
)
