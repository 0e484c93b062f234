"""Norm over all heads: the queries of a token are normed together, and so are its keys.

What it is: one RMS norm over the whole output of the query projection, all heads at once, and one over that of the key
projection, before heads are cut apart and rotated. Every column has a weight of its own. It bounds the sum of what all
heads bring to their scores, but leaves them their differences: a head may still be louder than its neighbours, and
learns how loud by its weights.

Against the norm per head it has more weights (one per column of every head instead of one per column of a head) and
holds the single head less tightly. Both keep scores from running away at high learning rates. OLMo 2 chose this form,
together with norms behind attention and feed-forward, after its predecessor had shown spikes in the loss.

Formula: q = w_q · q / sqrt(mean(q²) + ε) with the mean over all h · k columns of a token, and k likewise over g · k.

What it costs: (h + g) · k parameters per layer, no matrix products, and in training the queries and keys as they were
before the norm. When the heads of a layer are spread over several devices, the mean needs all of them: that is where
the norm per head is the simpler one.

Choose it to repeat OLMo 2, or to see what is left of the stabilising effect when heads are not normed one by one.
Rather not where heads lie on several devices, nor with a soft cap on top. Latent attention norms its latents instead.

Paper: OLMo Team, "2 OLMo 2 Furious" (2024), arXiv:2501.00656.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.attention import join_heads, split_heads
from tfx_engine.techniques.claims import UnitSize
from tfx_engine.techniques.counts import head_shape
from tfx_engine.techniques.rms import RmsNorm, rms_memory
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


class FullNorm(nn.Module):
    """(q_BHTK, k_BGTK) -> (q_BHTK, k_BGTK), all heads of a token together."""

    def __init__(self, shape: HeadShape, epsilon: float) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.query_norm = RmsNorm(shape.heads * shape.width, eps=epsilon)
        self.key_norm = RmsNorm(shape.key_heads * shape.width, eps=epsilon)

    def forward(self, q_BHTK: Tensor, k_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        """Both normed; where heads were cut from one tensor, putting them together again copies nothing."""
        q_BTM, k_BTM = self.query_norm(join_heads(q_BHTK)), self.key_norm(join_heads(k_BGTK))
        return split_heads(q_BTM, q_BHTK.shape[1]), split_heads(k_BTM, k_BGTK.shape[1])


def build(options: Options, config: Config, shape: HeadShape) -> nn.Module:
    """Norms over all heads."""
    return FullNorm(shape, options.epsilon)


def reference(module: FullNorm, q_BHTK: Tensor, k_BGTK: Tensor) -> tuple[Tensor, Tensor]:
    """The formula, without moving any column."""

    def normed(x_BHTK: Tensor, weight_M: Tensor) -> Tensor:
        size_BT = x_BHTK.square().mean(dim=(1, 3)) + module.epsilon
        weight_HK = weight_M.view(x_BHTK.shape[1], x_BHTK.shape[3])
        return torch.einsum("bhtk,hk,bt->bhtk", x_BHTK, weight_HK, size_BT**-0.5)

    return normed(q_BHTK, module.query_norm.weight), normed(k_BGTK, module.key_norm.weight)


def params(options: Options, config: Config) -> int:
    """A weight per column of every head, of queries and of keys."""
    shape = head_shape(config)
    return config.model.layers * (shape.heads + shape.key_heads) * shape.width


def memory(tape: Tape, options: Options, q: Value, k: Value) -> tuple[Value, Value]:
    """As a norm over all heads."""
    shape = shape_of(tape)
    wide, narrow = shape.heads * shape.width, shape.key_heads * shape.width
    q = rms_memory(tape, q, wide, tape.parameter("query", wide))
    return q, rms_memory(tape, k, narrow, tape.parameter("key", narrow))


TECHNIQUE = Technique(
    module=__name__,
    slot="qk_norm",
    order=2,
    title="Norm over all heads",
    short="all heads",
    summary="The queries of a token are normed together, all heads at once, and so are its keys.",
    paper="OLMo Team 2024, arXiv:2501.00656",
    guide=Guide(
        choose="you repeat OLMo 2, or heads should keep differences in size.",
        avoid="heads lie on several devices, or single heads are seen to run away.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    params=params,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × (heads + key heads) · head width"),
        Effect(quantity="activations", sign="+", formula="per token and layer: queries and keys before the norm"),
        Effect(quantity="time", sign="+", formula="two norms per layer"),
    ),
    claims=(UnitSize(over="heads"),),
)
