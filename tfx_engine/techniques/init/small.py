"""Small beginning: every matrix by the model's width, those that write to the stream smaller by the depth.

What it is: two rules that GPT-NeoX-20B put together. All matrices begin normal with variance 2 / (5 d), d being the
width of the model whatever the matrix's own sizes are: that is Xavier's value for the feed-forward, which has one side
of d and one of 4 d, taken for all. The last matrix of every branch begins with deviation 2 / (L sqrt(d)): smaller than
the others by about 3 / L, so that the sum of 2 L branches stays small beside the token vectors.

Formula: W ~ N(0, 2 / (5 d)), and N(0, 4 / (L² d)) for those that write to the stream

GPT-2 divides by sqrt(2 L), under which the branches together begin as large as one. Here it is by L, under which they
begin the smaller the more there are, and a deep model begins near the identity. For few blocks the second rule gives a
larger deviation than the first (up to 3 blocks): it is meant for deep models. Biases begin at 0, the weights of norms
at 1.

Why less is more: what a branch writes at the beginning is noise. A norm on the path, as in post-norm, divides by the
length of the sum, so louder branches there mean weaker gradients; without one, the stream grows with every block.
Nguyen and Salazar recommend it, against Xavier's beginning, for both.

What it costs: nothing.

When to choose it: deep models, post-norm without a long warm-up, or to repeat GPT-NeoX-20B and Pythia. When not: two or
three blocks, where the default does the same with less; with norms at the end of branches, which undo the second rule.

Paper: Nguyen, Salazar, "Transformers without Tears" (2019), arXiv:1910.05895; Black and others, "GPT-NeoX-20B" (2022),
arXiv:2204.06745, which takes the second rule from Wang's GPT-J.
"""

from __future__ import annotations

import math

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.claims import Begins
from tfx_engine.techniques.init import Initial, MatrixInitial, vector_start, writes_to_stream
from tfx_engine.techniques.technique import NoOptions, Technique


class SmallInitial(MatrixInitial):
    """By width and depth of the model."""

    def __init__(self, width: int, layers: int) -> None:
        self._everywhere = math.sqrt(2 / (5 * width))
        self._at_ends = 2 / (layers * math.sqrt(width))

    def deviation(self, name: str, parameter: Tensor) -> float:
        """By the place of the matrix."""
        return self._at_ends if writes_to_stream(name) else self._everywhere


def build(options: NoOptions, config: Config) -> Initial:
    """The rule for these sizes."""
    return SmallInitial(config.model.width, config.model.layers)


def reference(options: NoOptions, config: Config, name: str, parameter: Tensor) -> tuple[float, float]:
    """(mean, deviation) of a parameter's numbers."""
    d, layers = config.model.width, config.model.layers
    if parameter.dim() < 2:
        return vector_start(name), 0.0
    if name.split(".")[2:4] in (["attention", "output"], ["feedforward", "down"]):
        return 0.0, math.sqrt(4 / (layers**2 * d))
    return 0.0, math.sqrt(0.4 / d)


TECHNIQUE = Technique(
    module=__name__,
    slot="init",
    order=3,
    title="Small",
    short="small",
    summary="Every matrix by the model's width, those that write to the stream smaller by the depth.",
    paper="Nguyen & Salazar 2019, arXiv:1910.05895",
    guide=Guide(
        choose="the model is deep, or post-norm without a long warm-up.",
        avoid="there are two or three blocks: its second rule is made for many.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="parameters", sign="0", formula="0"),),
    claims=(Begins(),),
)
