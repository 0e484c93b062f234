"""muP: beginnings, rates and multipliers that grow with the width so that a learning rate found small holds large.

What it is: in the usual parametrisation wider models want smaller learning rates, so that what was tuned on a small
model is wrong for a large one. The maximal update parametrisation asks that at every width each layer's activations
have the same size, and that each step changes them by the same amount. That fixes how deviations, rates and
multipliers must depend on the width. Then the best learning rate is about the same at every width: tune at the base
width, keep it for all.

Formula, m = width / base width, with Adam:
    matrices within blocks: variance 1 / inputs, rate η / m
    scores: q · k · sqrt(k₀) / k, k being a head's width and k₀ that at the base width
    tables of token vectors and positions: deviation sqrt(2 / (5 · base width)), rate η
    logits: multiplied by 1 / m; a table of their own begins and moves as the others

So how the table of token vectors begins depends on the positions: where its vectors are multiplied by sqrt(d), as with
sinusoidal ones, it begins smaller and moves slower by sqrt(m), which is the same thing; a head tied to it then
multiplies by 1 / sqrt(m). With another choice of positions the same seed gives another table. At the base width all
factors are 1.

What it costs: nothing. It assumes that inner widths grow with the model's, and that depth, batch and length of training
stay: these change the best rate too. Weight decay is a share of the rate and shrinks with it.

Not with SGD, whose rates would have to be others. Muon and Adafactor have rules of their own.

When to choose it: you compare widths fairly or tune small to train large. When not: one model of one width; published
models, few of which were trained so.

Paper: Yang and others, "Tensor Programs V" (2022), arXiv:2203.03466.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.adapter import is_adapter
from tfx_engine.techniques.claims import Begins
from tfx_engine.techniques.embedding.token import is_scaled
from tfx_engine.techniques.init import Initial, MatrixInitial, is_table, vector_start
from tfx_engine.techniques.initial import deviation
from tfx_engine.techniques.technique import Technique

_LIKE_ADAM = ("adamw", "adamw_8bit", "lion")  # every weight moves by about the rate, whatever its gradient is


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    base_width: int = option(
        64, kind="int", label="base width", low=1, high=1_000_000, unit="numbers",
        help="Width of the model at which the learning rate was found: there all factors are 1.",
    )
    base_head_width: int | None = option(
        None, kind="int", label="base head width", low=1, high=100_000,
        automatic="the head width if it is given, else base width / heads",
        help="Width of a head in the model at which the learning rate was found.",
    )


def check(options: Options, config: Config) -> Iterator[Problem]:
    """The rates are Adam's."""
    used = config.use("optimizer")
    if used == "sgd":
        yield Problem(
            code="does-not-fit", path="techniques.init.use",
            template="has rates for Adam; with {optimizer!r} they would be wrong at every width but the base.",
            hint_template="Choose 'adamw' in optimizer, or another init.", args={"optimizer": used},
        )
    elif used not in _LIKE_ADAM:
        yield Problem(
            code="does-not-fit", path="techniques.init.use", level="warning", args={"optimizer": used},
            template="has rates for Adam; {optimizer!r} scales its steps by a rule of its own, so a learning rate "
                     "may not hold from one width to another.",
            hint_template="Choose 'adamw' in optimizer.",
        )


class MupInitial(MatrixInitial):
    """`ratio`: width / base width. `scaled`, `tied`: what token vectors are multiplied by, and who shares them."""

    def __init__(self, base_width: int, base_head_width: float, ratio: float, scaled: bool, tied: bool) -> None:
        self.base_width, self.base_head_width, self.ratio = base_width, base_head_width, ratio
        self.scaled, self.tied = scaled, tied
        self.output_multiplier = self._in_table("head.weight") / ratio

    def _in_table(self, name: str) -> float:
        """sqrt(ratio) for a table that begins smaller by that."""
        scaled = self.scaled and (name == "embedding.weight" or (self.tied and name.startswith("head.")))
        return math.sqrt(self.ratio) if scaled else 1.0

    def deviation(self, name: str, parameter: Tensor) -> float:
        """Tables by the base width, all else by the inputs."""
        if is_table(name):
            return deviation(self.base_width) / self._in_table(name)
        return 1 / math.sqrt(parameter.shape[-1])

    def rate(self, name: str, parameter: nn.Parameter) -> float:
        """1 / ratio for what is a matrix from width to width."""
        if is_adapter(name) or parameter.dim() < 2:
            return 1.0
        return 1 / self._in_table(name) if is_table(name) else 1 / self.ratio

    def attention_scale(self, head_width: int) -> float:
        """1 / K, and 1 / sqrt(K) at the base."""
        return math.sqrt(self.base_head_width) / head_width


def build(options: Options, config: Config) -> Initial:
    """The rule for this width."""
    embedding, head = config.techniques["embedding"], config.techniques["head"]
    grown = config.model.head_width or options.base_width / config.model.heads
    return MupInitial(
        options.base_width, options.base_head_width or grown, config.model.width / options.base_width,
        scaled=embedding.use == "token" and is_scaled(embedding.options.get("scale"), config),
        tied=head.use == "tied" or bool(head.options.get("tied")),
    )


def reference(options: Options, config: Config, name: str, parameter: Tensor) -> tuple[float, float]:
    """(mean, deviation) of a parameter's numbers, with sinusoidal positions and a tied head."""
    if parameter.dim() < 2:
        return vector_start(name), 0.0
    if name in ("embedding.weight", "head.weight"):
        return 0.0, math.sqrt(0.4 / config.model.width)
    return 0.0, parameter.shape[1] ** -0.5


TECHNIQUE = Technique(
    module=__name__,
    slot="init",
    order=4,
    title="muP",
    short="muP",
    summary="Beginnings, rates and multipliers grow with the width so that a learning rate found small holds large.",
    paper="Yang et al. 2022, arXiv:2203.03466",
    guide=Guide(
        choose="you compare models of several widths, or tune a small one to train a large one.",
        avoid="there is one width only, or a published model is to be repeated.",
    ),
    build=build,
    reference=reference,
    options=Options,
    check=check,
    effects=(
        Effect(quantity="parameters", sign="0", formula="0"),
        Effect(quantity="gradients", sign="0", formula="each step changes activations by the same amount at any width"),
    ),
    claims=(Begins(),),
)
