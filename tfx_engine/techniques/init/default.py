"""Default beginning: each matrix is drawn by the number of its own inputs.

What it is: matrices normal with deviation sqrt(2 / (5 n)), n being their inputs (for a table its width), biases 0, the
weights of norms 1. At width 768 the deviation is 0.023, about the 0.02 of GPT-2; at width 64 it is 0.079, without which
small models hardly learn.

Formula: W ~ N(0, 2 / (5 n))

What it costs: nothing.

Paper: Nguyen, Salazar, "Transformers without Tears" (2019), arXiv:1910.05895, which takes it for all matrices by the
width.
"""

from __future__ import annotations

import math

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
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
)
