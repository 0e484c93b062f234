"""No soft cap: scores are what queries and keys make them.

What it is: nothing bounds the scores before the softmax. That leaves the fused kernels free to be used: a soft cap is
an operation that most of them do not know.

Formula: scores as they are

What it costs: nothing.

Paper: the baseline of Gemma Team, "Gemma 2" (2024), arXiv:2408.00118.
"""

from __future__ import annotations

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, config: Config) -> None:
    """No cap."""
    return None


def reference(scores: Tensor, options: NoOptions) -> Tensor:
    """The scores themselves."""
    return scores


TECHNIQUE = Technique(
    module=__name__,
    slot="softcap",
    order=0,
    title="No soft cap",
    short="none",
    summary="Scores are what queries and keys make them.",
    paper="Gemma Team 2024, arXiv:2408.00118 (the baseline)",
    guide=Guide(
        choose="speed matters: fused kernels can be used.",
        avoid="scores grow in training until the softmax saturates.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="time", sign="0", formula="0"),),
)
