"""No gate: what attention read goes straight to the output projection.

What it is: the attention of the original transformer. Between values and output there is nothing but two linear maps,
which could be multiplied into one of low rank.

Formula: y = attention(x) · W_O

What it costs: nothing.

Paper: the baseline of Qiu and others, "Gated Attention for Large Language Models" (2025), arXiv:2505.06708.
"""

from __future__ import annotations

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.scores import HeadShape
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, config: Config, shape: HeadShape) -> None:
    """No gate."""
    return None


def reference(module: None, x_BTD: Tensor, y_BHTV: Tensor) -> Tensor:
    """What was read, as it is."""
    return y_BHTV


TECHNIQUE = Technique(
    module=__name__,
    slot="gate",
    order=0,
    title="No gate",
    short="none",
    summary="What attention read goes straight to the output projection.",
    paper="Qiu et al. 2025, arXiv:2505.06708 (the baseline)",
    guide=Guide(
        choose="you want the plain attention.",
        avoid="heads pile their weight on the first token, or training is unstable at high learning rates.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="parameters", sign="0", formula="0"),),
)
