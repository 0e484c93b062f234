"""Default beginning: each matrix is drawn by the number of its own inputs.

What it is: matrices normal with deviation sqrt(2 / (5 n)), n being their inputs (for a table its width), biases 0, the
weights of norms 1. A linear layer adds up n products; with this deviation its output has 0.63 times the size of its
input, whatever n is, so signals neither die nor explode from layer to layer. At width 768 the deviation is 0.023, about
the 0.02 of GPT-2; at width 64 it is 0.079, without which small models hardly learn.

Formula: W ~ N(0, 2 / (5 n))

The factor 2 / 5 is that of the small initialisation of Nguyen and Salazar, who found that transformers train more
easily when they begin somewhat below the variance 1 / n that would keep the size exactly. They take it for all matrices
by the width of the model; here each matrix goes by its own inputs, so that the narrowing layer of the feed-forward,
which has four times as many, begins with half the deviation.

Every number is drawn by a generator that is seeded with the run's seed and the parameter's name. So switching one
technique leaves all other weights as they were, to the bit, and a difference between two runs is the technique's.

What it costs: nothing.

When to choose it: for comparisons at any width, small ones above all, since nothing in it was tuned for one size. When
not: to repeat a published model exactly (GPT-2's, Xavier's and others are in this slot), to carry a learning rate from
one width to another (muP), or in very deep models, where the branches should begin smaller the more of them there are.

Paper: Nguyen, Salazar, "Transformers without Tears" (2019), arXiv:1910.05895, which takes it for all matrices by the
width.
"""

from __future__ import annotations

import math

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.claims import Begins
from tfx_engine.techniques.init import Initial
from tfx_engine.techniques.initial import DefaultInitial
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, config: Config) -> Initial:
    """The rule of `initial.py`."""
    return DefaultInitial()


def reference(options: NoOptions, config: Config, name: str, parameter: Tensor) -> tuple[float, float]:
    """(mean, deviation) of a parameter's numbers."""
    if parameter.dim() >= 2:
        return 0.0, math.sqrt(2 / (5 * parameter.shape[-1]))
    return (0.0 if name.endswith("bias") else 1.0), 0.0


TECHNIQUE = Technique(
    module=__name__,
    slot="init",
    order=0,
    title="Default",
    short="default",
    summary="Each matrix is drawn by the number of its own inputs.",
    paper="Nguyen & Salazar 2019, arXiv:1910.05895",
    guide=Guide(
        choose="you want something that trains at every width.",
        avoid="you repeat a published model exactly: choose its own.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="parameters", sign="0", formula="0"),),
    claims=(Begins(),),
)
