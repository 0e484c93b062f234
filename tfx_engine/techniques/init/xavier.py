"""Xavier's beginning: each matrix is drawn by the mean of its inputs and its outputs.

What it is: going forward a linear layer of n inputs and m outputs keeps the size of its signal if the variance of its
weights is 1 / n; going back it keeps the size of the gradient if it is 1 / m. Both cannot hold unless the matrix is
square, so the middle is taken. It was derived for deep networks with symmetric bends, and became the standard of its
time.

Formula: variance 2 / (n + m), W ~ N(0, 2 / (n + m)) or uniform within ± sqrt(6 / (n + m))

The original transformer's code begins so, uniformly. Tables have no inputs in this sense, since a look-up adds nothing
up: token vectors and learned positions begin normal with variance 1 / d, as there. With sinusoidal positions they are
multiplied by sqrt(d) and so begin with numbers of size 1. Biases begin at 0, the weights of norms at 1. An output head
with a table of its own is a linear layer and is drawn like one.

A square matrix gets the variance 1 / d, two and a half times that of the default here; the two matrices of a plain
feed-forward of 4 · d get 2 / (5 d), the same as the default's first. Stream and scores therefore begin larger.

What it costs: nothing.

When to choose it: to repeat the original transformer, or DeepNorm, whose constants are meant for the normal form; to
repeat the experiments on norm placement, in which it is what makes post-norm's trouble without warm-up plain. When not:
deep pre-norm models, where a smaller beginning is calmer.

Paper: Glorot, Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010), AISTATS 9.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import Begins
from tfx_engine.techniques.init import Initial, MatrixInitial, vector_start
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    distribution: str = option(
        "normal", kind="choice", label="distribution", choices=("normal", "uniform"),
        help="Of the numbers of linear layers; both have the same deviation. The original transformer: uniform.",
    )


class XavierInitial(MatrixInitial):
    """By inputs and outputs; tables of token vectors and positions by their width."""

    def __init__(self, uniform: bool) -> None:
        self.uniform = uniform

    def deviation(self, name: str, parameter: Tensor) -> float:
        """By the sizes of the matrix."""
        outputs, inputs = parameter.shape[-2:]
        return 1 / math.sqrt(inputs) if _is_look_up(name) else math.sqrt(2 / (inputs + outputs))

    def fill(self, name: str, parameter: nn.Parameter | Tensor, generator: torch.Generator) -> None:
        """Uniform or normal."""
        if self.uniform and parameter.dim() >= 2 and not _is_look_up(name):
            bound = math.sqrt(3) * self.deviation(name, parameter)
            parameter.uniform_(-bound, bound, generator=generator)
        else:
            super().fill(name, parameter, generator)


def _is_look_up(name: str) -> bool:
    return name.startswith(("embedding.", "position."))


def build(options: Options, config: Config) -> Initial:
    """The rule."""
    return XavierInitial(options.distribution == "uniform")


def reference(options: Options, config: Config, name: str, parameter: Tensor) -> tuple[float, float]:
    """(mean, deviation) of a parameter's numbers."""
    if parameter.dim() < 2:
        return vector_start(name), 0.0
    if name in ("embedding.weight", "position.weight"):
        return 0.0, parameter.shape[1] ** -0.5
    return 0.0, (sum(parameter.shape) / 2) ** -0.5


TECHNIQUE = Technique(
    module=__name__,
    slot="init",
    order=2,
    title="Xavier",
    short="Xavier",
    summary="Each matrix is drawn by the mean of its inputs and its outputs.",
    paper="Glorot & Bengio 2010",
    guide=Guide(
        choose="you repeat the original transformer or DeepNorm.",
        avoid="the model is deep and pre-norm: smaller beginnings are calmer there.",
    ),
    build=build,
    reference=reference,
    options=Options,
    effects=(Effect(quantity="parameters", sign="0", formula="0"),),
    claims=(Begins(),),
)
