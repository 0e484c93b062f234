"""Constant schedule: the learning rate stays as it is.

What it is: every step uses the optimizer's learning rate.

Formula: factor(t) = 1

What it costs: nothing. Without a gentle beginning, post-norm models may stall; without a decline at the end, the last
losses stay a little higher than they could be.

Paper: Robbins, Monro, "A Stochastic Approximation Method" (1951) is where declining rates come from.
"""

from __future__ import annotations

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.techniques.schedule import Factor
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, total_steps: int) -> Factor:
    """The factor 1 at every step."""
    return lambda step: 1.0


def reference(options: NoOptions, total_steps: int, step: int) -> float:
    """1."""
    return 1.0


TECHNIQUE = Technique(
    module=__name__,
    slot="schedule",
    order=0,
    title="Constant",
    short="constant",
    summary="The learning rate stays as it is.",
    paper="Robbins & Monro 1951",
    guide=Guide(
        choose="runs are short or are to be compared at any step: every step is alike.",
        avoid="the final loss matters, or post-norm needs a gentle beginning.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="time", sign="0", formula="0"),),
)
