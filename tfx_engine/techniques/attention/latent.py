"""Latent attention: keys and values are rebuilt from one narrow vector per token.

What it is: the input of a token is first pressed into a latent vector c, much narrower than all keys and values
together. From the normed c two linear layers make the keys and the values of every head. Whoever generates text keeps
only c and makes the rest anew; unlike in grouped-query attention, every head still has keys and values of its own.

Rotary positions stand in the way of that: a key turned by its position cannot be folded into the layers around it. So
each query and each key has two parts. The wide one, made from the latent, knows no position; a narrow one is rotated,
and its key is made straight from the input and shared by all heads. Their scores add up. With other positions the
narrow part is a few columns more and nothing else. Queries may be made from a latent of their own, which only saves
parameters and activations.

Formula, per head:
    c = RMSNorm(W_c x), k = [W_k c ; rotate(w_r x)], v = W_v c, q = [q_wide ; rotate(q_narrow)] from x or RMSNorm(W_a x)
    y = softmax(q kᵀ / sqrt(n + r)) v, with n columns in the wide part and r in the narrow one

What it costs, per block, with latent width l, value width v and h heads: d · h · (n + r) + d · (l + r) + l + l · h ·
(n + v) + h · v · d parameters, and 2 · T · h · (n + r + v) FLOPs per token for scores and mixing, more than multi-head
attention of the same n. What would be kept per token in generation is l + r numbers instead of 2 · h · n. Queries and
values have different widths, which not every fused kernel takes: the run shows which one was used.

Choose it for a model with many heads that is to generate from long contexts. Rather not for small models, whose few
keys and values are hardly wider than the latent, or where training speed matters more than the cache.

Paper: DeepSeek-AI, "DeepSeek-V2: A Strong, Economical, and Efficient Mixture-of-Experts Language Model" (2024),
section 2.1, arXiv:2405.04434.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide, Rule
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.attention import join_heads, split_heads
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.costs import PRODUCTS, STREAM, Linear, Product, Work, bias_of
from tfx_engine.techniques.rms import RmsNorm, rms_memory
from tfx_engine.techniques.scores import HeadShape, MakeScores
from tfx_engine.techniques.scores_memory import attended, gated
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique

EPSILON = 1e-6  # of the norms on the latents

# B batch, T tokens, D width of the model, L latent, H heads, V values; queries and keys: N wide part, R rotated part


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    latent_width: int | None = option(
        None, kind="int", label="latent width", low=1, high=1_000_000, automatic="four times the head width",
        help="Width of the vector from which keys and values are made.",
    )
    rope_width: int | None = option(
        None, kind="int", label="rotated width", low=2, high=65_536, automatic="half the head width",
        help="Columns of queries and keys that are rotated; their key is shared by all heads.",
    )
    query_latent: int | None = option(
        None, kind="int", label="query latent", low=1, high=1_000_000, automatic="queries straight from the input",
        help="Width of a vector from which the queries are made.",
    )
    value_width: int | None = option(
        None, kind="int", label="value width", low=1, high=65_536, automatic="the head width",
        help="Width of each head's values.",
    )
    bias: bool | None = option(
        None, kind="bool", label="biases", automatic="as the model's biases",
        help="Biases in the layers that read the input, and in the output; those that read a latent have none.",
    )
    scale: float | None = option(
        None, kind="float", label="scale", low=1e-6, high=1e3,
        automatic="1 / sqrt(head width + rotated width), or as `init` says",
        help="What products of queries and keys are multiplied by. DeepSeek-V2 has its own where YaRN stretches it.",
    )


@dataclasses.dataclass(frozen=True)
class Widths:
    """All sizes of one such attention, for a configuration."""

    model: int
    heads: int
    wide: int
    rotated: int
    values: int
    latent: int
    queries: int | None
    bias: bool
    scale: float | None

    @classmethod
    def of(cls, options: Options, config: Config) -> Widths:
        """With what is automatic filled in."""
        k = config.head_width
        return cls(
            model=config.model.width, heads=config.model.heads, wide=k,
            rotated=options.rope_width or max(2, k // 4 * 2), values=options.value_width or k,
            latent=options.latent_width or 4 * k, queries=options.query_latent, bias=bias_of(options.bias, config),
            scale=options.scale,
        )

    def linears(self) -> dict[str, Linear]:
        """The linear layers in the order in which they run."""
        d, h = self.model, self.heads
        found = []
        if self.queries is not None:
            found += [Linear("query_latent", d, self.queries, self.bias)]
        source, width = (STREAM, d) if self.queries is None else ("query_latent", self.queries)
        found += [
            Linear("query", width, h * (self.wide + self.rotated), self.bias and self.queries is None, source=source),
            Linear("latent", d, self.latent, self.bias, roles=("key", "value")),
            Linear("key", self.latent, h * self.wide, source="latent"),
            Linear("value", self.latent, h * self.values, source="latent"),
            Linear("key_rotated", d, self.rotated, self.bias),
            Linear("output", h * self.values, d, self.bias, source=PRODUCTS),
        ]
        return {linear.name: linear for linear in found}


class LatentAttention(nn.Module):
    """(x_BTD, context) -> x_BTD."""

    def __init__(self, widths: Widths, make_scores: MakeScores) -> None:
        super().__init__()
        self.widths, heads = widths, widths.heads
        width = widths.wide + widths.rotated
        self.scores = make_scores(HeadShape(heads, heads, width, widths.values, scale=widths.scale))
        self.query_latent: nn.Linear | None = None
        for name, linear in widths.linears().items():
            setattr(self, name, nn.Linear(linear.inputs, linear.outputs, linear.bias))
        self.latent_norm = RmsNorm(widths.latent, eps=EPSILON)
        self.query_norm = None if widths.queries is None else RmsNorm(widths.queries, eps=EPSILON)

    def forward(self, x_BTD: Tensor, context: AttentionContext) -> Tensor:
        """Press, norm, unfold; rotate the narrow part; attend."""
        w = self.widths
        q_BHTN, q_BHTR = split_heads(self.queries(x_BTD), w.heads).split([w.wide, w.rotated], dim=-1)
        c_BTL = self.latent_norm(self.latent(x_BTD))
        k_BHTN, v_BHTV = split_heads(self.key(c_BTL), w.heads), split_heads(self.value(c_BTL), w.heads)
        q_BHTR, k_B1TR = self.scores.rotate(q_BHTR, split_heads(self.key_rotated(x_BTD), 1), context)
        q_BHTK = torch.cat([q_BHTN, q_BHTR], dim=-1)
        k_BHTK = torch.cat([k_BHTN, k_B1TR.expand(-1, w.heads, -1, -1)], dim=-1)
        y_BHTV = self.scores.gated(x_BTD, self.scores.attend(q_BHTK, k_BHTK, v_BHTV, context))
        return self.output(join_heads(y_BHTV))

    def queries(self, x_BTD: Tensor) -> Tensor:
        """[B, T, H · (N + R)]."""
        if self.query_latent is None or self.query_norm is None:
            return self.query(x_BTD)
        return self.query(self.query_norm(self.query_latent(x_BTD)))


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Refuse an odd number of rotated columns: they turn in pairs."""
    if options.rope_width is not None and options.rope_width % 2:
        yield Problem(
            code="odd-width", path="techniques.attention.rope_width",
            template="is {width}, but columns are rotated in pairs.",
            hint_template="The nearest legal value is {fit}.",
            args={"width": options.rope_width, "fit": options.rope_width + 1},
        )


def build(options: Options, config: Config, make_scores: MakeScores) -> nn.Module:
    """Attention of the model's heads; the head width is that of the part without positions."""
    return LatentAttention(Widths.of(options, config), make_scores)


def reference(module: LatentAttention, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """Head by head; the scores of both parts are made apart (and no other technique acts on them)."""
    w, allowed_TT = module.widths, context.allowed(x_BTD.shape[1], x_BTD.device)
    width = w.wide + w.rotated
    scale = w.scale or 1 / math.sqrt(width)

    def normed(c: Tensor, norm: RmsNorm) -> Tensor:
        return c / (c.square().mean(dim=-1, keepdim=True) + EPSILON).sqrt() * norm.weight

    asked = x_BTD
    if module.query_latent is not None and module.query_norm is not None:
        asked = normed(module.query_latent(x_BTD), module.query_norm)
    q_BTM, c_BTL = module.query(asked), normed(module.latent(x_BTD), module.latent_norm)
    shared_BTR = module.key_rotated(x_BTD)
    heads_BTV = []
    for h in range(w.heads):
        q_BTK = q_BTM[..., h * width : (h + 1) * width]
        k_BTN = c_BTL @ module.key.weight[h * w.wide : (h + 1) * w.wide].T
        v_BTV = c_BTL @ module.value.weight[h * w.values : (h + 1) * w.values].T
        scores_BTT = q_BTK[..., : w.wide] @ k_BTN.transpose(1, 2) + q_BTK[..., w.wide :] @ shared_BTR.transpose(1, 2)
        weights_BTT = (scores_BTT * scale).masked_fill(~allowed_TT, -torch.inf).softmax(dim=-1)
        heads_BTV.append(weights_BTT @ v_BTV)
    return module.output(torch.cat(heads_BTV, dim=-1))


def work(options: Options, config: Config) -> Work:
    """The layers, and the products of the scores: queries and keys are wider than multi-head attention's."""
    w = Widths.of(options, config)
    keys, tokens = ("key", "key_rotated"), config.model.context * w.heads
    return Work(tuple(w.linears().values()), (
        Product(tokens * (w.wide + w.rotated), ("query",), keys),
        Product(tokens * w.values, ("query", *keys), ("value",)),
    ))


def params(options: Options, config: Config) -> int:
    """The weights of the norms on the latents."""
    w = Widths.of(options, config)
    return config.model.layers * (w.latent + (w.queries or 0))


def memory(tape: Tape, options: Options, x: Value) -> Value:
    """Narrow keys and values are kept, and what is made of them."""
    w, tokens = Widths.of(options, tape.config), tape.tokens
    queries = x
    if w.queries is not None:
        narrow = tape.linear("query_latent", x)
        queries = rms_memory(tape, narrow, w.queries, tape.parameter("query_norm", w.queries))
    query = tape.linear("query", queries)
    latent = rms_memory(tape, tape.linear("latent", x), w.latent, tape.parameter("latent_norm", w.latent))
    key, value = tape.linear("key", latent), tape.linear("value", latent)
    turned = tape.part(query, tokens * w.heads * w.rotated)
    q_turned, k_turned = tape.places.rotate(tape, turned, tape.linear("key_rotated", x))
    numbers = tokens * w.heads * (w.wide + w.rotated)
    q = tape.make(tape.part(query, tokens * w.heads * w.wide), q_turned, numbers=numbers)
    k = tape.make(key, k_turned, numbers=numbers)
    return tape.linear("output", tape.joined(gated(tape, x, attended(tape, tape.headed(q), k, value))))


TECHNIQUE = Technique(
    module=__name__,
    slot="attention",
    order=2,
    title="Latent attention",
    short="latent",
    summary="Keys and values of all heads are rebuilt from one narrow vector per token.",
    paper="DeepSeek-AI 2024, arXiv:2405.04434",
    guide=Guide(
        choose="a model with many heads is to generate from long contexts, and each head should keep its own keys.",
        avoid="the model is small, or training speed matters more than the memory of generation.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    excludes=(
        Rule(
            slot="qk_norm", names=("per_head", "full", "l2"),
            reason="Latent attention norms the latents instead, from which queries and keys are made.",
        ),
    ),
    params=params,
    work=work,
    effects=(
        Effect(
            quantity="parameters", sign="-",
            formula="layers × (d · h · (n + r) + d · (l + r) + l + l · h · (n + v) + h · v · d)",
        ),
        Effect(quantity="flops", sign="+", formula="per token and layer: 2 · T · heads · rotated width for the scores"),
        Effect(quantity="activations", sign="+", formula="per token and layer: the latents and their norms"),
    ),
)
