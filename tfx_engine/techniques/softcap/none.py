"""No soft cap: scores are what queries and keys make them.

What it is: nothing bounds the scores before the softmax. A score may become any number, and how large it becomes is
the training's business. While scores are moderate a bound would change next to nothing: a cap of 50 takes less than
0.02 off a score of 5. When they grow, single differences decide everything: a key whose score lies 20 above all others
has practically the whole weight, the gradient of the softmax vanishes for all keys alike, and the head can hardly
learn to look elsewhere. In 16 bits large scores also become coarse: beyond 256 bfloat16 has even numbers only.

Formula: score = q · k · scale, as it is

What it costs: nothing, in parameters, memory or time. It leaves every kernel free to be used: a cap is an operation
between score and softmax that none of torch's own fused kernels knows, so that with one the square of scores is kept,
or a kernel is compiled for it.

When to choose it: nearly always. GPT-2, Llama, Mistral and Qwen have no cap. Where scores run away, a norm on queries
and keys (slot "qk_norm") holds them too and keeps the fused kernels; Gemma 3 has it in place of Gemma 2's cap. When
not: to repeat Gemma 2, or where a training diverges and a strict bound is to show whether its scores are the reason.

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
