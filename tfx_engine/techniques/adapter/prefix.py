"""Prefix tuning: the weights are frozen; every layer gets trained keys and values that all tokens can look at.

What it is: each attention layer sees, before the real tokens, m invented ones, of which only the keys and values exist.
They are trained. Every query may look at all of them, whatever mask and window say, and finds there what the prefix
wants to tell it: a prompt that is not made of words, with an own text for every layer. They stand at no position: no
rotation, no bias of positions, no place of the context is used up.

Formula: y = softmax([Q Pₖᵀ, Q Kᵀ + mask] · scale) [Pᵥ; V], with Pₖ and Pᵥ trained, m rows each

What it costs: 2 · m · (width of the keys) parameters per layer with multi-head attention, fewer with grouped queries.
Scores and mixing grow from T to T + m keys. The mask is written out, so a kernel that can only do causal squares is not
used. Unlike LoRA it cannot be merged: its cost remains when the model is used. Numbers begin small (deviation 0.02), so
at first the prefix draws some attention to nothing, and training begins near the frozen model and not exactly at it.

Choose it where one frozen model serves many tasks at once: samples of one batch can each have their own prefix. Rather
not where the task is far from what the model knows, or contexts are short beside the prefix; it is known to be slow to
train and sensitive to its learning rate. The paper trains the prefix through a small network beside it, which is
dropped afterwards; here it is trained directly.

Paper: Li, Liang, "Prefix-Tuning: Optimizing Continuous Prompts for Generation" (2021), arXiv:2101.00190.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.adapter import Adapter
from tfx_engine.techniques.adapting import frozen
from tfx_engine.techniques.claims import EveryGradient, TrainsOnly
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.costs import Linear, Product, Work
from tfx_engine.techniques.counts import head_shape
from tfx_engine.techniques.initial import initialise
from tfx_engine.techniques.scores import HeadShape, Scores
from tfx_engine.techniques.technique import Technique, all_alike

# B batch, T tokens, D width, G key heads, P prefix, K head width, V value width

DEVIATION = 0.02
_PREFIX = "prefix"  # the name of what the products depend on


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    tokens: int = option(
        20, kind="int", label="length", low=1, high=100_000, unit="tokens",
        help="Invented tokens before the real ones in every layer, m.",
    )


class Prefix(nn.Module):
    """(batch size) -> keys_BGPK, values_BGPV."""

    def __init__(self, shape: HeadShape, tokens: int, like: Tensor) -> None:
        super().__init__()
        place = {"device": like.device, "dtype": like.dtype}
        self.adapter_keys = nn.Parameter(torch.empty(shape.key_heads, tokens, shape.width, **place))
        self.adapter_values = nn.Parameter(torch.empty(shape.key_heads, tokens, shape.value_width, **place))

    def forward(self, batch: int) -> tuple[Tensor, Tensor]:
        """The same for every sample."""
        return self.adapter_keys.expand(batch, -1, -1, -1), self.adapter_values.expand(batch, -1, -1, -1)

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """Small."""
        parameter.normal_(0.0, DEVIATION, generator=generator)
        return True


@dataclasses.dataclass(frozen=True)
class PrefixAdapter:
    """Puts a prefix before the keys of every layer."""

    options: Options
    config: Config
    merges = False

    def apply(self, model: nn.Module) -> None:
        """Freeze the model and add the prefixes, initialised unless the model is on the meta device."""
        model.requires_grad_(False)
        like, shape = next(model.parameters()), head_shape(self.config)
        for name, scores in model.named_modules():
            if isinstance(scores, Scores):
                scores.prefix = Prefix(shape, self.options.tokens, like)
                if not like.is_meta:
                    initialise(scores.prefix, self.config.seed, prefix=f"{name}.{_PREFIX}")

    def merge(self, model: nn.Module) -> None:
        """It cannot be put into the weights."""

    def unmerge(self, model: nn.Module) -> None:
        """Nothing to undo."""

    def rate(self, name: str, parameter: nn.Parameter) -> float:
        """One rate for all."""
        return 1.0


def build(options: Options, config: Config) -> Adapter:
    """The adapter for a model that is assembled from this configuration."""
    return PrefixAdapter(options, config)


def reference(module: nn.Module, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """Multi-head attention written out, head by head, with the prefix in front."""
    tokens, k, prefix = x_BTD.shape[1], module.head_width, module.scores.prefix
    length = prefix.adapter_keys.shape[1]
    forbidden_TT = ~context.allowed(tokens, x_BTD.device)
    q_BTM, k_BTM, v_BTM = module.query(x_BTD), module.key(x_BTD), module.value(x_BTD)
    heads_BTK = []
    for h in range(module.heads):
        columns = slice(h * k, (h + 1) * k)
        scores_BTT = (q_BTM[..., columns] @ k_BTM[..., columns].transpose(1, 2)).masked_fill(forbidden_TT, -torch.inf)
        scores_BTP = q_BTM[..., columns] @ prefix.adapter_keys[h].T
        weights_BTS = (torch.cat([scores_BTP, scores_BTT], dim=-1) / k**0.5).softmax(dim=-1)
        read_BTK = weights_BTS[..., :length] @ prefix.adapter_values[h]
        heads_BTK.append(read_BTK + weights_BTS[..., length:] @ v_BTM[..., columns])
    return module.output(torch.cat(heads_BTK, dim=-1))


def check(options: Options, config: Config) -> Iterator[Problem]:
    """There must be keys to put something before."""
    if config.use("mixer") != "attention":
        yield Problem(
            code="nothing-adapted", path="techniques.adapter.use", args={"mixer": config.use("mixer")},
            template="puts keys before those of the attention, but the mixer is {mixer!r}, which has none.",
            hint_template="Choose mixer = attention, or the adapter lora.",
        )


def adapts(options: Options, config: Config, layer: int, work: Work) -> Work:
    """Everything frozen, and m keys more in every product of the scores."""
    work = frozen(work)
    if work.slot != "attention":
        return work
    own = Linear(_PREFIX, 0, 0, adaptable=False, tuned=True, trained=False)
    products = []
    for product in work.products:
        grown = product.multiply_adds * (config.model.context + options.tokens) // config.model.context
        left = product.left if product is work.products[0] else (*product.left, _PREFIX)  # queries, then weights
        products.append(Product(grown, left, (*product.right, _PREFIX)))
    return dataclasses.replace(work, linears=(own, *work.linears), products=tuple(products))


def params(options: Options, config: Config) -> int:
    """m keys and m values per layer and key head."""
    if config.use("mixer") != "attention":
        return 0
    shape = head_shape(config)
    return config.model.layers * options.tokens * shape.key_heads * (shape.width + shape.value_width)


TECHNIQUE = Technique(
    module=__name__,
    slot="adapter",
    order=5,
    title="Prefix tuning",
    short="prefix",
    summary="The model is frozen; every layer gets trained keys and values that all tokens can look at.",
    paper="Li & Liang 2021, arXiv:2101.00190",
    guide=Guide(
        choose="one frozen model serves many tasks, each sample with its own prefix.",
        avoid="the adapter is to cost nothing afterwards: a prefix cannot be merged.",
    ),
    build=build,
    reference=reference,
    options=Options,
    check=check,
    params=params,
    adapts=adapts,
    alike=all_alike,
    freezes=True,
    effects=(
        Effect(quantity="parameters", sign="+", formula="2 · length · key heads · head width per layer; others frozen"),
        Effect(quantity="gradients", sign="-", formula="only the prefix has gradients"),
        Effect(quantity="optimizer", sign="-", formula="only the prefix has optimizer state"),
        Effect(quantity="flops", sign="+", formula="scores and mixing over T + length keys instead of T"),
    ),
    claims=(TrainsOnly("adapters"), EveryGradient()),
)
