"""No clipping: gradients move the weights whatever their size.

What it is: the optimiser gets the gradients as the backward pass made them. An adaptive optimiser bounds its steps by
itself; a plain one follows a rare huge gradient wherever it points.

Formula: g as it is

What it costs: nothing.

Paper: the baseline of Pascanu, Mikolov, Bengio, "On the difficulty of training Recurrent Neural Networks" (2012),
arXiv:1211.5063.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, config: Config) -> None:
    """No bound."""
    return None


def reference(options: NoOptions, gradients: Sequence[Tensor]) -> list[Tensor]:
    """The gradients themselves."""
    return list(gradients)


TECHNIQUE = Technique(
    module=__name__,
    slot="clip",
    order=0,
    title="No clipping",
    short="none",
    summary="Gradients move the weights whatever their size.",
    paper="Pascanu et al. 2012, arXiv:1211.5063 (the baseline)",
    guide=Guide(
        choose="training is stable, or you want to see how large gradients really are in what they do.",
        avoid="single steps with huge gradients throw training off.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="time", sign="0", formula="0"),),
)
