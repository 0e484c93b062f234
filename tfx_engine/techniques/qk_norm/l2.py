"""Cosine attention: scores are cosines, times one learned number.

What it is: queries and keys are scaled to length 1, so that their product is the cosine of the angle between them,
between -1 and 1. Softmax weights of such scores would be almost even; so they are multiplied by a trained number g, one
per layer, which takes the place of 1 / sqrt(k). It says how sharp the layer's attention may become, and it is the only
thing that can: no weight matrix can make the scores grow.

Where g begins depends on the context. The authors took log2(T² - T), from the lengths of their training data: for
longer inputs more weight has to be gathered from among more keys.

Formula: score = g · (q / |q|) · (k / |k|), with g = log2(T² - T) at the beginning and trained from there.

What it costs: one parameter per layer, no matrix products, and in training the queries and keys as they were before
the norm. The fused kernels remain usable: they see ordinary queries, which carry g, and ordinary keys.

Choose it for small data sets and where scores must be bounded strictly: it was made for translation with few examples.
Rather not for a repeat of recent large models, which use an RMS norm with weights per column, or with `init = mup`,
whose scale for the scores it does not undo. A soft cap on top has little left to do. Latent attention norms its latents
instead.

Paper: Henry, Dachapally, Pawar, Chen, "Query-Key Normalization for Transformers" (2020), arXiv:2010.04245.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import UnitSize
from tfx_engine.techniques.scores import HeadShape
from tfx_engine.techniques.scores_memory import shape_of
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique

# B batch, H query heads, G key heads, T tokens, K width of a head
SMALLEST = 1e-12  # length below which a vector is left short instead of being blown up


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    scale: float | None = option(
        None, kind="float", label="scale", low=0.01, high=1000.0, automatic="log2(T² - T) of the context T",
        help="The number that multiplies the cosines, at the beginning of training.",
    )


class CosineNorm(nn.Module):
    """(q_BHTK, k_BGTK) -> (q_BHTK, k_BGTK): unit vectors, the queries times g · sqrt(K)."""

    def __init__(self, width: int, begin: float) -> None:
        super().__init__()
        self.undone = math.sqrt(width)  # of the scores' own scale, 1 / sqrt(K)
        self.begin = begin
        self.scale = nn.Parameter(torch.empty(1))

    def forward(self, q_BHTK: Tensor, k_BGTK: Tensor) -> tuple[Tensor, Tensor]:
        """Both normed, so that their product times 1 / sqrt(K) is g times the cosine."""
        smallest = max(SMALLEST, torch.finfo(q_BHTK.dtype).tiny)  # in float16 the one above would be 0, and 0 / 0
        q_BHTK = F.normalize(q_BHTK, dim=-1, eps=smallest) * (self.scale * self.undone)
        return q_BHTK, F.normalize(k_BGTK, dim=-1, eps=smallest)

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """The scale begins as the options say."""
        parameter.fill_(self.begin)
        return True


def build(options: Options, config: Config, shape: HeadShape) -> nn.Module:
    """Unit vectors, and the scale for the model's context."""
    tokens = config.model.context
    begin = math.log2(max(2, tokens * tokens - tokens)) if options.scale is None else options.scale
    return CosineNorm(shape.width, begin)


def reference(module: CosineNorm, q_BHTK: Tensor, k_BGTK: Tensor) -> tuple[Tensor, Tensor]:
    """The formula."""
    q, k = (x / x.square().sum(dim=-1, keepdim=True).sqrt() for x in (q_BHTK, k_BGTK))
    return module.scale * math.sqrt(q.shape[-1]) * q, k


def memory(tape: Tape, options: Options, q: Value, k: Value) -> tuple[Value, Value]:
    """Keeps what is divided by its length, and the queries before their scale."""
    width = shape_of(tape).width
    q, k = (tape.make(x, saves=(x,), extra=2 * x.bytes // width, back=2 * x.bytes) for x in (q, k))
    return tape.by_weight(q, tape.parameter("scale", 1)), k


TECHNIQUE = Technique(
    module=__name__,
    slot="qk_norm",
    order=3,
    title="Cosine attention",
    short="cosine",
    summary="Scores are cosines of the angle between query and key, times one learned number.",
    paper="Henry et al. 2020, arXiv:2010.04245",
    guide=Guide(
        choose="there are few examples, or scores must be bounded strictly.",
        avoid="you repeat recent large models, which norm queries and keys with weights per column.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    params=lambda options, config: config.model.layers,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × 1"),
        Effect(quantity="activations", sign="+", formula="per token and layer: queries and keys before the norm"),
        Effect(quantity="time", sign="+", formula="two norms per layer"),
    ),
    claims=(UnitSize(length=True),),
)
