"""Relative bias of T5: a learnt number for each head and each range of distances is added to the scores.

What it is: distances between query and key are sorted into buckets. Near ones have a bucket of their own each, farther
ones share buckets that grow with the logarithm of the distance, and everything beyond the maximum distance falls into
the last. Each head has one learnt number per bucket, which is added to the score before the softmax. One small table
serves all layers.

Formula: score(i, j) = q_i · k_j / sqrt(k) + b[h, bucket(j - i)]. Of n buckets, distances below n / 2 have their own;
a distance r from there on has number n / 2 + floor(n / 2 · ln(r / (n / 2)) / ln(maximum / (n / 2))), at most n - 1.
With a causal mask all n buckets look back. Without one, half of them serve keys before the query, half those after it.
T5 itself leaves out the division by sqrt(k) and lets its initial weights stand in for it; here it stays.

What it costs: buckets × heads parameters for the whole model, and H · T · T numbers for the bias, made once per forward
pass for all layers together. Its gradient has the same size. Kernels that know only the causal mask by name cannot add
it, and few fused ones give its gradient: the kernel that is really used is shown.

Choose it when the model should learn by itself how much distance matters, or to build T5 and its kin. It exists for
any length, but beyond the lengths of the training all far keys share one bucket: whether the loss stays flat there
depends on the data, and it is not promised. Rather not when attention must be as fast as it can be.

Paper: Raffel and others, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer" (2019),
section 2.1, arXiv:1910.10683.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide, Rule
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import TellsOrder
from tfx_engine.techniques.position import Position, Positioned
from tfx_engine.techniques.tape import Places, Tape
from tfx_engine.techniques.technique import Technique

# B batch, H heads, T tokens, K head width, D width, R = 2 T - 1 distances, from key - query = 1 - T to T - 1


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    buckets: int = option(
        32, kind="int", label="buckets", low=4, high=100_000, help="Ranges of distances with a number of their own.",
    )
    max_distance: int = option(
        128, kind="int", label="maximum distance", low=3, high=10_000_000, unit="tokens",
        help="From here on all distances share the last bucket.",
    )


class T5Bias(Position):
    """Adds `weight` [buckets, H] to the scores by distance."""

    def __init__(self, heads: int, width: int, options: Options, both_ways: bool) -> None:
        super().__init__()
        self.width, self.options, self.both_ways = width, options, both_ways
        self.weight = nn.Parameter(torch.empty(options.buckets, heads))

    def bias(self, tokens: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        """[H, T, T]: one number per head and distance, laid out along the diagonals."""
        distance_R = torch.arange(1 - tokens, tokens, device=device)
        number_R = bucket(distance_R, self.options, self.both_ways)
        bias_HR = F.embedding(number_R, self.weight).t()
        # Row i begins with the distance -i. Looked up so, the gradient of T x T scores is summed by diagonals first,
        # not scattered one by one into few buckets.
        return bias_HR.unfold(1, tokens, 1).flip(1)

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """As in T5: normal with deviation 1 / sqrt(D)."""
        parameter.normal_(0.0, self.width**-0.5, generator=generator)
        return True


def bucket(distance: Tensor, options: Options, both_ways: bool) -> Tensor:
    """The number of the bucket of each distance (key - query)."""
    buckets, first = options.buckets, torch.zeros_like(distance)
    if both_ways:
        buckets //= 2
        first = (distance > 0) * buckets
        distance = distance.abs()
    else:
        distance = (-distance).clamp(min=0)
    exact = buckets // 2
    # In float32, as T5 has it: an edge that is a whole number in theory falls on the same side.
    far = (distance.clamp(min=1).float() / exact).log() / math.log(options.max_distance / exact) * (buckets - exact)
    shared = (exact + far.long()).clamp(max=buckets - 1)
    return first + torch.where(distance < exact, distance, shared)


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Refuse an odd number of buckets for two directions, and a maximum that leaves nothing to share."""
    both_ways = config.use("mask") != "causal"
    if both_ways and options.buckets % 2:
        yield Problem(
            code="odd-buckets", path="techniques.position.buckets",
            template="is {buckets}, but without a causal mask half of the buckets serve each direction.",
            hint_template="Choose an even number, such as {fit}.",
            args={"buckets": options.buckets, "fit": options.buckets + 1},
        )
    exact = options.buckets // (4 if both_ways else 2)
    if options.max_distance <= exact:
        yield Problem(
            code="out-of-range", path="techniques.position.max_distance",
            template="is {distance}, but the {exact} nearest distances have buckets of their own.",
            hint_template="Choose {fit} or more, or fewer buckets.",
            args={"distance": options.max_distance, "exact": exact, "fit": exact + 1},
        )


def build(options: Options, config: Config) -> Position:
    """A table for the model's heads; both directions where the mask is not causal."""
    return T5Bias(config.model.heads, config.model.width, options, config.use("mask") != "causal")


def reference(module: T5Bias, x_BTD: Tensor, q_BHTK: Tensor, k_BGTK: Tensor, layer: int) -> Positioned:
    """Score by score."""
    places = range(q_BHTK.shape[2])
    rows = [torch.stack([module.weight[_slow_bucket(j - i, module)] for j in places]) for i in places]
    return Positioned(x_BTD.clone(), q_BHTK.clone(), k_BGTK.clone(), torch.stack(rows).permute(2, 0, 1))


def _slow_bucket(distance: int, module: T5Bias) -> int:
    buckets, begin = module.options.buckets, 0
    if module.both_ways:
        buckets //= 2
        begin = buckets if distance > 0 else 0
    elif distance > 0:
        return 0
    exact, distance = buckets // 2, abs(distance)
    if distance < exact:
        return begin + distance
    ratio = math.log(distance / exact) / math.log(module.options.max_distance / exact)
    return begin + min(buckets - 1, exact + math.floor(ratio * (buckets - exact)))


def memory(tape: Tape, options: Options) -> Places:
    """A number for each head, query and key, once for all layers, with a gradient as large."""
    heads = tape.config.model.heads
    weights = tape.parameter("table", options.buckets, heads)
    return Places(bias=lambda tape: tape.make(numbers=heads * tape.context**2, width=tape.widths.weights,
                                              weights=weights))


TECHNIQUE = Technique(
    module=__name__,
    slot="position",
    order=5,
    title="Relative bias of T5",
    short="T5 bias",
    summary="A learnt number for each head and range of distances is added to the scores.",
    paper="Raffel et al. 2019, arXiv:1910.10683",
    guide=Guide(
        choose="the model should learn by itself how much distance matters.",
        avoid="attention must be as fast as it can be: few fused kernels take a bias with a gradient.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    requires=(
        Rule(slot="mixer", names=("attention",), reason="Only attention has scores to which a bias can be added."),
    ),
    params=lambda options, config: options.buckets * config.model.heads,
    effects=(
        Effect(quantity="parameters", sign="+", formula="buckets × heads"),
        Effect(quantity="activations", sign="+", formula="heads × T × T × 4 bytes, once for all layers"),
        Effect(quantity="gradients", sign="+", formula="buckets × heads × 4 bytes, and heads × T × T in passing"),
        Effect(quantity="time", sign="+", formula="kernels that know only the causal mask do not fit"),
    ),
    claims=(TellsOrder(),),
)
