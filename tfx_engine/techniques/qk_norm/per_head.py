"""Norm per head: every query and every key is brought to one size before they meet.

What it is: an RMS norm over the columns of one head, applied to each query and each key after its projection and
before its rotation. Its weights, one per column, are shared by all heads; queries and keys have a set each. A score
then depends on the angle between query and key and on the trained weights, no longer on how large the projections
happened to grow.

Without it nothing holds the scores: at a high learning rate the projections grow, the softmax turns into a hard choice,
its gradients vanish and the loss may diverge. With it the same model trains through a range of learning rates in which
the plain one breaks; at a modest rate both learn about alike. That is why many recent models have it: Qwen3 and Gemma 3
in this form.

Formula: q = w_q · q / sqrt(mean(q²) + ε), and k likewise with w_k; means over the k columns of a head.

What it costs: 2 · k parameters per layer, no matrix products, and in training the queries and keys as they were before
the norm, which its backward pass needs.

Choose it for large models, high learning rates, 16-bit training and whenever scores are seen to grow. Rather not in
addition to a soft cap, which then has nothing left to bound, or for comparisons with models that lack it. Latent
attention norms its latents instead.

Paper: Dehghani and others, "Scaling Vision Transformers to 22 Billion Parameters" (2023), section 2, arXiv:2302.05442
(with a LayerNorm); as RMS norm per head: Qwen Team, "Qwen3 Technical Report" (2025), arXiv:2505.09388. Learning rates:
Wortsman and others, "Small-scale proxies for large-scale Transformer training instabilities" (2023), arXiv:2309.14322.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import UnitSize
from tfx_engine.techniques.counts import head_shape
from tfx_engine.techniques.rms import OffsetRmsNorm, RmsNorm, rms_memory
from tfx_engine.techniques.scores import HeadShape
from tfx_engine.techniques.scores_memory import shape_of
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique

# B batch, H query heads, G key heads, T tokens, K width of a head


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    epsilon: float = option(
        1e-6, kind="float", label="epsilon", low=1e-12, high=1.0,
        help="Added to the mean square, so that nothing is divided by zero.",
    )
    unit_offset: bool = option(
        False, kind="bool", label="unit offset", help="Keep the weights as their difference to 1, as Gemma does.",
    )


class PerHeadNorm(nn.Module):
    """(q_BHTK, k_BGTK) -> (q_BHTK, k_BGTK), each column vector of a head by itself."""

    def __init__(self, width: int, epsilon: float, unit_offset: bool) -> None:
        super().__init__()
        self.epsilon, self.offset = epsilon, 1.0 if unit_offset else 0.0
        norm = OffsetRmsNorm if unit_offset else RmsNorm
        self.query_norm, self.key_norm = norm(width, eps=epsilon), norm(width, eps=epsilon)

    def forward(self, q_BHTK: Tensor, k_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        """Both normed."""
        return self.query_norm(q_BHTK), self.key_norm(k_BGTK)


def build(options: Options, config: Config, shape: HeadShape) -> nn.Module:
    """Norms over the head width."""
    return PerHeadNorm(shape.width, options.epsilon, options.unit_offset)


def reference(module: PerHeadNorm, q_BHTK: Tensor, k_BGTK: Tensor) -> tuple[Tensor, Tensor]:
    """The formula."""

    def normed(x: Tensor, weight: Tensor) -> Tensor:
        square = x.square().sum(dim=-1, keepdim=True) / x.shape[-1]
        return (module.offset + weight) * x / (square + module.epsilon) ** 0.5

    return normed(q_BHTK, module.query_norm.weight), normed(k_BGTK, module.key_norm.weight)


def params(options: Options, config: Config) -> int:
    """A weight per column, for queries and for keys."""
    return config.model.layers * 2 * head_shape(config).width


def memory(tape: Tape, options: Options, q: Value, k: Value) -> tuple[Value, Value]:
    """As a norm over each head."""
    width = shape_of(tape).width
    q = rms_memory(tape, q, width, tape.parameter("query", width))
    return tape.headed(q), rms_memory(tape, k, width, tape.parameter("key", width))


TECHNIQUE = Technique(
    module=__name__,
    slot="qk_norm",
    order=1,
    title="Norm per head",
    short="per head",
    summary="Every query and every key of a head is brought to one size before they meet.",
    paper="Dehghani et al. 2023, arXiv:2302.05442",
    guide=Guide(
        choose="the model is large, the learning rate high, or scores are seen to grow.",
        avoid="a soft cap bounds the scores already, or you compare with models that lack it.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    params=params,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × 2 · head width"),
        Effect(quantity="activations", sign="+", formula="per token and layer: queries and keys before the norm"),
        Effect(quantity="time", sign="+", formula="two norms per layer"),
    ),
    claims=(UnitSize(),),
)
