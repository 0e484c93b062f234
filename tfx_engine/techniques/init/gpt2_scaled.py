"""GPT-2's beginning: all matrices with one small deviation, those that write to the stream smaller by the depth.

What it is: matrices and tables normal with deviation 0.02, whatever their size, biases 0, the weights of norms 1. The
last matrix of every branch, attention's output and the narrowing one of the feed-forward, is divided by sqrt(2 L): 2 L
branches add to the stream, and the sum of so many independent vectors is sqrt(2 L) times as long as one. So the stream
begins with the same size at any depth.

Formula: W ~ N(0, σ²), and N(0, σ² / (2 L)) for those that write to the stream; σ = 0.02

It is the beginning of GPT-2 and GPT-3, and with it of most code that descends from them, such as nanoGPT, Megatron and
Hugging Face's GPT-2 class. BERT and DeiT have the deviation without the division.

A fixed deviation fits a range of widths. At 768 inputs 0.02 is about half of what would keep a signal's size; at 64 it
is a sixth, signals shrink in every layer, and small models learn slowly or not at all in short runs. At 12,288 it is
twice too large. GPT-2 was tuned at the widths where it fits, 768 to 1600.

What it costs: nothing.

When to choose it: to repeat GPT-2 and its family, at widths of several hundred and more. When not: at small widths,
where the default goes by each matrix's inputs; with peri-norm or residual post-norm, whose norms at the end of the
branch undo the division; when the deviation itself is what you want to scale with the width (muP).

Paper: Radford and others, "Language Models are Unsupervised Multitask Learners" (2019), section 2.3, and its code.
"""

from __future__ import annotations

import dataclasses
import math

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import Begins
from tfx_engine.techniques.init import Initial, MatrixInitial, vector_start, writes_to_stream
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    deviation: float = option(
        0.02, kind="float", label="deviation", low=1e-5, high=1.0, help="Standard deviation of all matrices, σ.",
    )
    scaled: bool = option(
        True, kind="bool", label="scaled by depth",
        help="Divide it by sqrt(2 · layers) where a matrix writes to the stream. BERT and DeiT do not.",
    )


class Gpt2Initial(MatrixInitial):
    """One deviation, and a smaller one at the ends of branches."""

    def __init__(self, deviation: float, at_ends: float) -> None:
        self._deviation, self._at_ends = deviation, at_ends

    def deviation(self, name: str, parameter: Tensor) -> float:
        """By the place of the matrix."""
        return self._at_ends if writes_to_stream(name) else self._deviation


def build(options: Options, config: Config) -> Initial:
    """The rule for this depth."""
    divisor = math.sqrt(2 * config.model.layers) if options.scaled else 1.0
    return Gpt2Initial(options.deviation, options.deviation / divisor)


def reference(options: Options, config: Config, name: str, parameter: Tensor) -> tuple[float, float]:
    """(mean, deviation) of a parameter's numbers."""
    if parameter.dim() < 2:
        return vector_start(name), 0.0
    last = name.split(".")[2:4] in (["attention", "output"], ["feedforward", "down"])
    variance = options.deviation**2 / (2 * config.model.layers if last and options.scaled else 1)
    return 0.0, math.sqrt(variance)


TECHNIQUE = Technique(
    module=__name__,
    slot="init",
    order=1,
    title="GPT-2",
    short="GPT-2",
    summary="All matrices with one small deviation, those that write to the stream smaller by the depth.",
    paper="Radford et al. 2019 (GPT-2)",
    guide=Guide(
        choose="you repeat GPT-2 or one of its many descendants, at widths of several hundred.",
        avoid="the model is narrow: 0.02 is then far too small, and it hardly learns.",
    ),
    build=build,
    reference=reference,
    options=Options,
    effects=(Effect(quantity="parameters", sign="0", formula="0"),),
    claims=(Begins(),),
)
