"""Differential attention: each head looks twice and keeps the difference.

What it is: two neighbouring heads work as one. Each has queries and keys of its own and makes a full softmax; the
second map, times a learned factor λ, is taken off the first. What both maps give by accident to tokens that do not
matter cancels, as the hum does in a pair of twisted wires, and what is left is sharper. The pair shares one head of
values of twice the width, so that parameters stay those of multi-head attention. The result of each pair is normed on
its own, since pairs differ in scale, and shrunk by 1 - λ₀.

The weights that count are signed: a token can be held against a query. The attention panel shows the two softmax maps
that they are made of side by side, heads 1 and 2, 3 and 4, and so on.

Formula, per pair, in layer l counted from 0:
    y = (1 - λ₀) · RMSNorm((softmax(Q₁ K₁ᵀ / sqrt(k)) - λ · softmax(Q₂ K₂ᵀ / sqrt(k))) V)
    λ = exp(a₁ · b₁) - exp(a₂ · b₂) + λ₀, λ₀ = 0.8 - 0.6 · exp(-0.3 · l); a and b are trained vectors of width k

What it costs, per block: 4 · d · h · k + 4 · k parameters (and biases as in multi-head attention). The values are
twice as wide as the queries, which most fused kernels refuse; so each half of them is mixed by a call of its own,
which computes the scores a second time: 8 · T · h · k FLOPs per token for scores and mixing, twice those of multi-head
attention, and the maps are never kept.

Choose it where a model must pick a few facts out of a long context: the paper reports the quality of a plain
transformer with about 65 % of its size or of its training tokens. Rather not for a first baseline, or where every
percent of speed counts. The number of heads must be even.

Paper: Ye, Dong, Xia, Sun, Zhu, Huang, Wei, "Differential Transformer" (2024), arXiv:2410.05258. The norm of a pair has
no weights here, as in the DiffLlama model of the transformers library.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.attention import join_heads, split_heads
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.costs import PRODUCTS, Linear, Work, attention_products, bias_of
from tfx_engine.techniques.rms import rms_memory
from tfx_engine.techniques.scores import HeadShape, MakeScores
from tfx_engine.techniques.scores_memory import attended, gated, prepared
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique

EPSILON = 1e-5  # of the norm of each pair
DEVIATION = 0.1  # with which the vectors of λ begin
VECTORS = ("lambda_query_1", "lambda_key_1", "lambda_query_2", "lambda_key_2")

# B batch, T tokens, D width of the model, H heads (maps), P pairs (H / 2), K width of a head


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


class DifferentialAttention(nn.Module):
    """(x_BTD, context) -> x_BTD."""

    def __init__(
        self, width: int, heads: int, head_width: int, bias: bool, output_bias: bool, make_scores: MakeScores
    ) -> None:
        super().__init__()
        self.heads, self.head_width = heads, head_width
        self.scores = make_scores(HeadShape(heads, heads, head_width, head_width, results=heads // 2))
        self.lambda_0 = lambda_at_start(self.scores.layer)
        self.query = nn.Linear(width, heads * head_width, bias)
        self.key = nn.Linear(width, heads * head_width, bias)
        self.value = nn.Linear(width, heads * head_width, bias)
        self.output = nn.Linear(heads * head_width, width, output_bias)
        for name in VECTORS:
            self.register_parameter(name, nn.Parameter(torch.empty(head_width)))

    def forward(self, x_BTD: Tensor, context: AttentionContext) -> Tensor:
        """Project, attend with both maps of each pair, subtract, norm, project back."""
        q_BHTK, k_BHTK = split_heads(self.query(x_BTD), self.heads), split_heads(self.key(x_BTD), self.heads)
        q_BHTK, k_BHTK = self.scores.prepare(q_BHTK, k_BHTK, context)
        halves_BPTK = split_heads(self.value(x_BTD), self.heads // 2).chunk(2, dim=-1)
        mixed = [
            self.scores.attend(q_BHTK, k_BHTK, v_BPTK.repeat_interleave(2, dim=1), context) for v_BPTK in halves_BPTK
        ]
        y_BP2TW = torch.cat(mixed, dim=-1).unflatten(1, (-1, 2))
        y_BPTW = y_BP2TW[:, :, 0] - self.factor().to(y_BP2TW.dtype) * y_BP2TW[:, :, 1]
        y_BPTW = F.rms_norm(y_BPTW, y_BPTW.shape[-1:], eps=EPSILON) * (1 - self.lambda_0)
        return self.output(join_heads(self.scores.gated(x_BTD, y_BPTW)))

    def factor(self) -> Tensor:
        """λ."""
        exact = torch.promote_types(self.lambda_query_1.dtype, torch.float32)
        one = (self.lambda_query_1.to(exact) * self.lambda_key_1.to(exact)).sum().exp()
        two = (self.lambda_query_2.to(exact) * self.lambda_key_2.to(exact)).sum().exp()
        return one - two + self.lambda_0

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """The vectors of λ are small; λ begins near λ₀."""
        if name in VECTORS:
            parameter.normal_(0.0, DEVIATION, generator=generator)
        return name in VECTORS


def lambda_at_start(layer: int) -> float:
    """λ₀ of a layer, counted from 0: deeper layers subtract more."""
    return 0.8 - 0.6 * math.exp(-0.3 * layer)


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Refuse heads that do not pair up."""
    heads = config.model.heads
    if heads % 2:
        yield Problem(
            code="odd-heads", path="model.heads", template="is {heads}, but 'differential' pairs the heads up.",
            hint_template="The nearest legal value is {fit}, or choose the attention 'multi_head'.",
            args={"heads": heads, "fit": heads + 1},
        )


def build(options: Options, config: Config, make_scores: MakeScores) -> nn.Module:
    """Attention of the model's width, heads and head width, the heads in pairs."""
    bias = bias_of(options.bias, config)
    output_bias = bias if options.output_bias is None else options.output_bias
    return DifferentialAttention(
        config.model.width, config.model.heads, config.head_width, bias, output_bias, make_scores
    )


def reference(module: DifferentialAttention, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """Pair by pair, with the signed square of weights (and no other technique that acts on the scores)."""
    forbidden_TT, k = ~context.allowed(x_BTD.shape[1], x_BTD.device), module.head_width
    q_BTM, k_BTM, v_BTM = module.query(x_BTD), module.key(x_BTD), module.value(x_BTD)
    lambda_0 = 0.8 - 0.6 * math.e ** (-0.3 * module.scores.layer)
    first = (module.lambda_query_1 @ module.lambda_key_1).exp()
    factor = first - (module.lambda_query_2 @ module.lambda_key_2).exp() + lambda_0
    pairs_BTW = []
    for p in range(module.heads // 2):
        maps_BTT = []
        for h in (2 * p, 2 * p + 1):
            columns = slice(h * k, (h + 1) * k)
            scores_BTT = q_BTM[..., columns] @ k_BTM[..., columns].transpose(1, 2) / math.sqrt(k)
            maps_BTT.append(scores_BTT.masked_fill(forbidden_TT, -torch.inf).softmax(dim=-1))
        y_BTW = (maps_BTT[0] - factor * maps_BTT[1]) @ v_BTM[..., 2 * p * k : 2 * (p + 1) * k]
        size_BT1 = (y_BTW.square().mean(dim=-1, keepdim=True) + EPSILON).sqrt()
        pairs_BTW.append((1 - lambda_0) * y_BTW / size_BT1)
    return module.output(torch.cat(pairs_BTW, dim=-1))


def work(options: Options, config: Config) -> Work:
    """Four projections, and the products of the scores once for each half of the values."""
    d, heads, k = config.model.width, config.model.heads, config.head_width
    bias = bias_of(options.bias, config)
    output_bias = bias if options.output_bias is None else options.output_bias
    inputs = tuple(Linear(name, d, heads * k, bias) for name in ("query", "key", "value"))
    output = Linear("output", heads * k, d, output_bias, source=PRODUCTS)
    return Work((*inputs, output), 2 * attention_products(config.model.context, heads, k))


def params(options: Options, config: Config) -> int:
    """The vectors of λ."""
    return config.model.layers * len(VECTORS) * config.head_width


def memory(tape: Tape, options: Options, x: Value) -> Value:
    """Values are read twice, by both halves; their difference is normed."""
    k_width = tape.config.head_width
    q, k, v = (tape.linear(name, x) for name in ("query", "key", "value"))
    q, k = prepared(tape, q, k)
    halves = [tape.make(tape.part(v, v.numbers // 2), numbers=v.numbers) for _ in range(2)]
    y = tape.make(*(attended(tape, q, k, half) for half in halves), numbers=2 * v.numbers)
    vectors = tuple(w for name in VECTORS for w in tape.parameter(name, k_width))
    one, two = tape.part(y, v.numbers), tape.part(y, v.numbers)
    y = tape.make(one, tape.by_weight(two, vectors), passes=1)
    y = gated(tape, x, tape.scaled(rms_memory(tape, y, 2 * k_width, is_weighted=False)))
    return tape.linear("output", tape.copy(y))


TECHNIQUE = Technique(
    module=__name__,
    slot="attention",
    order=3,
    title="Differential attention",
    short="differential",
    summary="Each pair of heads makes two maps and keeps their difference, so that noise in both cancels.",
    paper="Ye et al. 2024, arXiv:2410.05258",
    guide=Guide(
        choose="a few facts must be found in a long context full of what does not matter.",
        avoid="you need a plain baseline, or every percent of speed.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    params=params,
    work=work,
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × 4 · head width more than multi-head attention"),
        Effect(quantity="flops", sign="+", formula="per token and layer: 4 · T · heads · head width more"),
        Effect(quantity="activations", sign="+", formula="per token and layer: one more output of all heads"),
    ),
)
