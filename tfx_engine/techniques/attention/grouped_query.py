"""Grouped-query attention: several query heads look through the same keys and values.

What it is: the query heads are divided into g groups, and each group has one head of keys and one of values for all of
its query heads. With as many key heads as query heads it is multi-head attention; with a single one it is multi-query
attention. The queries lose nothing: every head still asks its own question, but several of them search the same
memory.

The idea came from generation. There the keys and values of everything written so far are kept and read again for each
new token, and reading them, not arithmetic, is what takes the time. Keeping h / g times fewer of them makes the cache
smaller by that factor, and generation faster. In training the saving is small: two of the four projections shrink, and
so do the stored keys and values. The scores are as many as before, since there is still one map per query head.

Formula, for query head i with group j = floor(i · g / h): softmax(Qᵢ Kⱼᵀ / sqrt(k)) Vⱼ, masked scores being -∞.

What it costs, per block: 2 · d · h · k + 2 · d · g · k parameters (and h · k + 2 · g · k + d biases), twice that in
FLOPs per token, and 4 · T · h · k for scores and mixing. Torch's fused kernels read shared keys where they lie; the
plain form repeats them first.

Choose it for a model that is to generate: two to eight key heads lose little against multi-head attention, and this is
what Llama 3, Mistral, Qwen and Gemma do. A single key head saves most and is the likeliest to cost quality. Rather not
where a model only classifies or embeds: there is no cache to be kept small, and multi-head attention has more
parameters to learn with.

Paper: Ainslie, Lee-Thorp, de Jong, Zemlyanskiy, Lebrón, Sanghai, "GQA: Training Generalized Multi-Query Transformer
Models from Multi-Head Checkpoints" (2023), arXiv:2305.13245. One key head: Shazeer, "Fast Transformer Decoding: One
Write-Head is All You Need" (2019), arXiv:1911.02150.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.attention import ProjectedAttention, projected_memory
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.costs import PRODUCTS, Linear, Work, attention_products, bias_of
from tfx_engine.techniques.scores import HeadShape, MakeScores
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique

# B batch, T tokens, D width of the model, H query heads, G key heads, K width of a head


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    kv_heads: int | None = option(
        None, kind="int", label="key heads", low=1, high=1024, automatic="a quarter of the heads",
        help="Heads of keys, and of values; the query heads share them evenly. 1 is multi-query attention.",
    )
    bias: bool | None = option(
        None, kind="bool", label="biases", automatic="as the model's biases",
        help="Biases in the projections of queries, keys and values.",
    )
    output_bias: bool | None = option(
        None, kind="bool", label="output bias", automatic="as the other projections",
        help="A bias in the output projection.",
    )
    scale: float | None = option(
        None, kind="float", label="scale", low=1e-6, high=1e3, automatic="1 / sqrt(head width), or as `init` says",
        help="What products of queries and keys are multiplied by. T5 has 1, the largest Gemma 2 and 3 their own.",
    )


def key_heads(options: Options, config: Config) -> int:
    """How many there are: automatically the largest number up to a quarter of the heads that divides them."""
    heads = config.model.heads
    if options.kv_heads is not None:
        return options.kv_heads
    return max(g for g in range(1, max(1, heads // 4) + 1) if heads % g == 0)


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Refuse key heads that the query heads cannot share evenly."""
    heads, groups = config.model.heads, key_heads(options, config)
    if heads % groups:
        fit = min((g for g in range(1, heads + 1) if heads % g == 0), key=lambda g: abs(g - groups))
        yield Problem(
            code="key-heads-do-not-divide", path="techniques.attention.kv_heads",
            template="is {groups}, which does not divide the {heads} heads of the queries.",
            hint_template="The nearest legal value is {fit}.", args={"groups": groups, "heads": heads, "fit": fit},
        )


def build(options: Options, config: Config, make_scores: MakeScores) -> nn.Module:
    """Attention of the model's width, heads and head width, with fewer heads of keys and values."""
    bias = bias_of(options.bias, config)
    k = config.head_width
    shape = HeadShape(config.model.heads, key_heads(options, config), k, k, scale=options.scale)
    output_bias = bias if options.output_bias is None else options.output_bias
    return ProjectedAttention(config.model.width, shape, bias, output_bias, make_scores)


def reference(module: ProjectedAttention, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """Query head by query head, each with the keys of its group (and no other technique that acts on the scores)."""
    tokens, shape = x_BTD.shape[1], module.shape
    scale = shape.scale or 1 / math.sqrt(shape.width)
    forbidden_TT = ~context.allowed(tokens, x_BTD.device)
    q_BTM, k_BTN, v_BTN = module.query(x_BTD), module.key(x_BTD), module.value(x_BTD)
    heads_BTK = []
    for h in range(shape.heads):
        g = h * shape.key_heads // shape.heads
        own, shared = (slice(i * shape.width, (i + 1) * shape.width) for i in (h, g))
        scores_BTT = q_BTM[..., own] @ k_BTN[..., shared].transpose(1, 2) * scale
        weights_BTT = scores_BTT.masked_fill(forbidden_TT, -torch.inf).softmax(dim=-1)
        heads_BTK.append(weights_BTT @ v_BTN[..., shared])
    return module.output(torch.cat(heads_BTK, dim=-1))


def work(options: Options, config: Config) -> Work:
    """Four projections, two of them narrower, and the products of the scores."""
    d, heads, k = config.model.width, config.model.heads, config.head_width
    bias, shared = bias_of(options.bias, config), key_heads(options, config)
    output_bias = bias if options.output_bias is None else options.output_bias
    return Work(
        (
            Linear("query", d, heads * k, bias), Linear("key", d, shared * k, bias),
            Linear("value", d, shared * k, bias), Linear("output", heads * k, d, output_bias, source=PRODUCTS),
        ),
        attention_products(config.model.context, heads, k),
    )


def memory(tape: Tape, options: Options, x: Value) -> Value:
    """Projections, attention, projection."""
    return projected_memory(tape, x)


TECHNIQUE = Technique(
    module=__name__,
    slot="attention",
    order=1,
    title="Grouped-query attention",
    short="grouped query",
    summary="Several query heads look through the same keys and values.",
    paper="Ainslie et al. 2023, arXiv:2305.13245",
    guide=Guide(
        choose="the model is to generate, and keys and values of long contexts must be kept small.",
        avoid="nothing is generated: the saving is in the cache, and multi-head attention learns a little more.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    work=work,
    effects=(
        Effect(quantity="parameters", sign="-", formula="layers × 2 · width · (heads - key heads) · head width fewer"),
        Effect(quantity="flops", sign="-", formula="per token and layer: 4 · width · (heads - key heads) · head width"),
        Effect(quantity="activations", sign="-", formula="keys and values: × key heads / heads"),
    ),
)
