"""Soft cap: scores are bent so that none exceeds a bound.

What it is: each score goes through c · tanh(score / c) before the mask and the softmax. Scores that are small against
c pass almost unchanged; large ones approach c and never reach it. So no weight can become arbitrarily sharp: two keys
of one query differ at most by a factor of exp(2c), and the scores cannot run away when queries and keys grow in
training.

The bend is smooth, so that a gradient always remains, but it becomes small for scores far beyond the cap: a head that
sits there learns slowly. A cap that is often reached works against what the model wants to say; one that is hardly
ever reached only guards against accidents. Gemma 2 took 50 for the attention and 30 for the output logits, which is an
option of the output head here.

Formula: scores = c · tanh((q · k · scale) / c)

What it costs: no parameters, and no FLOPs of matrix products. The price is the kernel: torch's fused attention knows no
soft cap, so the plain form is used, which keeps the T × T weights of every head, unless the kernel `flex` is chosen and
works on the device. Gemma 3 has a norm on queries and keys in its place.

Choose it to repeat Gemma 2, or to see what bounded scores change in a training that diverges. Rather not together with
a query-key norm, which bounds the scores already, and not for long contexts on a kernel that has to keep the square.

Paper: Gemma Team, "Gemma 2: Improving Open Language Models at a Practical Size" (2024), section 2, arXiv:2408.00118;
the idea is older: Bello and others, "Neural Combinatorial Optimization with Reinforcement Learning" (2016),
arXiv:1611.09940.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide, Rule
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import Bounded
from tfx_engine.techniques.tape import Tape, Value
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    cap: float = option(
        50.0, kind="float", label="cap", low=0.1, high=10_000.0,
        help="The bound c that no score exceeds.",
    )


@dataclasses.dataclass(frozen=True)
class SoftCap:
    """scores -> scores."""

    cap: float

    def __call__(self, scores: Tensor) -> Tensor:
        """Bent."""
        return self.cap * torch.tanh(scores / self.cap)


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Warn where the scores are bounded already."""
    if config.use("qk_norm") != "none":
        yield Problem(
            code="bounded-twice", path="techniques.softcap.use", level="warning",
            template="bounds scores that the query-key norm {norm!r} bounds already, and forgoes the fused kernels.",
            hint_template="Choose the soft cap 'none', or the query-key norm 'none'.",
            args={"norm": config.use("qk_norm")},
        )


def build(options: Options, config: Config) -> SoftCap:
    """The cap."""
    return SoftCap(options.cap)


def reference(scores: Tensor, options: Options) -> Tensor:
    """tanh by its exponentials, of the side on which they stay small."""
    shrunk = (-2 * scores.abs() / options.cap * math.log2(math.e)).exp2()
    return scores.sign() * options.cap * (1 - shrunk) / (1 + shrunk)


def memory(tape: Tape, options: Options, scores: Value) -> Value:
    """Keeps what comes out of the curve."""
    return tape.scaled(tape.bent(tape.scaled(scores), of_result=True))


TECHNIQUE = Technique(
    module=__name__,
    slot="softcap",
    order=1,
    title="Soft cap",
    short="tanh",
    summary="Scores are bent by a tanh so that none exceeds a bound.",
    paper="Gemma Team 2024, arXiv:2408.00118",
    guide=Guide(
        choose="scores grow in training until it breaks, or you repeat Gemma 2.",
        avoid="the context is long: torch's fused attention knows no soft cap, and the square of scores is kept.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    check=check,
    excludes=(
        Rule(
            slot="kernel", names=("math", "flash", "efficient", "cudnn"),
            reason="None of torch's own kernels knows a soft cap; choose the kernel 'auto', 'eager' or 'flex'.",
        ),
    ),
    effects=(
        Effect(quantity="parameters", sign="0", formula="0"),
        Effect(quantity="activations", sign="+", formula="scores and weights, heads × T × T each, but for flex"),
        Effect(quantity="time", sign="+", formula="no fused kernel but flex"),
    ),
    claims=(Bounded(),),
)
