"""No gate: what attention read goes straight to the output projection.

What it is: the attention of the original transformer. Each head mixes values by its weights, and the output projection
adds the heads up. Between a token's value and what arrives in the stream there are nothing but two linear maps in a
row, which could be multiplied into one whose rank is at most the width of a head: only the weights, not the content,
depend on both tokens. And a head always writes something: as its weights add up to one, it can be silent only if what
it looks at has a value near zero.

Formula: y = attention(x) · W_O

What it costs: nothing. A gate adds a linear layer per block, one of the size of the query projection in its larger
form, and keeps the attention's output once more for the backward pass.

When to choose it: as the plain baseline, and to repeat nearly every published model. When not: where heads pile their
weight on the first token, or where training shows spikes of the loss at high learning rates: the authors of the gates
report less of both. The gate per head costs almost nothing, the gate per element does more; a sink lets heads abstain
within the softmax instead.

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
