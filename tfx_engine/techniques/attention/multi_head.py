"""Multi-head attention: several small attentions side by side, each free to look for something else.

What it is: queries, keys and values are three linear views of the input, cut into h heads of width k. Each head
compares its queries with its keys, turns the scores into weights with a softmax, and mixes its values by them. The
heads' outputs stand side by side and one more linear layer mixes them. The width of a head is free: h · k need not be
the width of the model.

One head must average: its single softmax can look at one pattern at a time, and what it mixes it cannot tell apart
any more. Several heads look at several things at once, such as the previous token, the last mention of a name and the
opening bracket, and keep what they found in separate columns. With h · k fixed, the number of heads changes neither
parameters nor FLOPs: more heads see more patterns, but each in fewer dimensions.

Formula, per head: softmax(Q Kᵀ / sqrt(k)) V, masked scores being -∞. The products of k random terms have a deviation
of sqrt(k); dividing by it keeps the softmax away from hard choices, whose gradients vanish.

What it costs, per block: 4 · d · h · k parameters (and 3 · h · k + d biases), 8 · d · h · k FLOPs per token for the
four projections and 4 · T · h · k for scores and mixing. It runs through torch's fused attention, which never keeps the
T × T weights; the attention maps are recomputed from queries and keys, for one sample, beside it.

Choose it as the baseline, and wherever a model reads its whole input at once. Rather not for generation over long
contexts: every head's keys and values have to be kept for every token, which the grouped-query and latent forms make
several times smaller.

Paper: Vaswani and others, "Attention Is All You Need" (2017), section 3.2, arXiv:1706.03762.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.attention import ProjectedAttention, projected_memory
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.costs import PRODUCTS, Linear, Work, attention_products, bias_of
from tfx_engine.techniques.scores import HeadShape, MakeScores
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique

# B batch, T tokens, D width of the model, H heads, K width of a head


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

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


def build(options: Options, config: Config, make_scores: MakeScores) -> nn.Module:
    """Attention of the model's width, heads and head width."""
    bias = bias_of(options.bias, config)
    heads, k = config.model.heads, config.head_width
    shape = HeadShape(heads, heads, k, k, scale=options.scale)
    output_bias = bias if options.output_bias is None else options.output_bias
    return ProjectedAttention(config.model.width, shape, bias, output_bias, make_scores)


def reference(module: ProjectedAttention, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """Head by head, with the whole square of scores (and no other technique that acts on them)."""
    tokens, k = x_BTD.shape[1], module.head_width
    scale = module.shape.scale or 1 / math.sqrt(k)
    forbidden_TT = ~context.allowed(tokens, x_BTD.device)
    q_BTM, k_BTM, v_BTM = module.query(x_BTD), module.key(x_BTD), module.value(x_BTD)
    heads_BTK = []
    for h in range(module.heads):
        columns = slice(h * k, (h + 1) * k)
        scores_BTT = q_BTM[..., columns] @ k_BTM[..., columns].transpose(1, 2) * scale
        weights_BTT = scores_BTT.masked_fill(forbidden_TT, -torch.inf).softmax(dim=-1)
        heads_BTK.append(weights_BTT @ v_BTM[..., columns])
    return module.output(torch.cat(heads_BTK, dim=-1))


def work(options: Options, config: Config) -> Work:
    """Four projections, and the products of the scores."""
    d, heads, k = config.model.width, config.model.heads, config.head_width
    bias = bias_of(options.bias, config)
    inputs = tuple(Linear(name, d, heads * k, bias) for name in ("query", "key", "value"))
    output_bias = bias if options.output_bias is None else options.output_bias
    output = Linear("output", heads * k, d, output_bias, source=PRODUCTS)
    return Work((*inputs, output), attention_products(config.model.context, heads, k))


def memory(tape: Tape, options: Options, x: Value) -> Value:
    """Projections, attention, projection."""
    return projected_memory(tape, x)


TECHNIQUE = Technique(
    module=__name__,
    slot="attention",
    order=0,
    title="Multi-head attention",
    short="multi-head",
    summary="Several small attentions side by side, each free to look for something else.",
    paper="Vaswani et al. 2017, arXiv:1706.03762",
    guide=Guide(
        choose="you want the standard: every head has queries, keys and values of its own.",
        avoid="keys and values of long contexts must be kept for generation: they are largest here.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    work=work,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × (4 · width · heads · head width + biases)"),
        Effect(
            quantity="flops", sign="+",
            formula="per token and layer: 8 · width · heads · head width + 4 · T · heads · head width",
        ),
        Effect(quantity="activations", sign="+", formula="per token and layer: x, q, k, v, output, 4 bytes each"),
    ),
)
