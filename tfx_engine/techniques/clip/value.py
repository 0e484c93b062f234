"""Clipping by value: no single number of a gradient goes beyond a bound.

What it is: every number of every gradient is looked at by itself and cut off at ±c. Numbers within the bound stay as
they are, those beyond become the bound. So, unlike clipping by norm, it turns the gradient: large components lose,
small ones keep their size, and the step goes in a somewhat different direction. Pressed far enough only the signs are
left.

Formula, for each number by itself:
    g ← max(-c, min(c, g))

What it costs: one reading and writing of all gradients; no memory. No number depends on any other, so it needs neither
a sum over the whole model nor one over several devices.

The right bound depends on how gradients are scaled: on the size of the model, on the loss being a mean or a sum, on the
layer. Embeddings, whose rare rows get large gradients from few tokens, are cut first. One bound for all layers is
therefore rarely right for all of them, and there is no value that most people use, as there is for the norm.

When to choose it: for recurrent networks with saturating units, where it comes from; when single numbers, not whole
steps, are what explodes; or to see the difference to clipping by norm. When not: for transformers clipping by norm is
the usual choice, since it keeps the direction and its bound hardly depends on the model. With Lion it does nothing to
numbers that keep their sign in the running mean, and with Adam a bound that cuts in ordinary steps distorts both of its
means.

Paper: Graves, "Generating Sequences With Recurrent Neural Networks" (2013), arXiv:1308.0850, where derivatives are kept
within a range; Pascanu, Mikolov, Bengio (2012), arXiv:1211.5063, discuss it beside clipping by norm.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import Limits
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    maximum: float = option(
        0.1, kind="float", label="largest value", low=1e-12, high=1e9,
        help="Bound on every single number of a gradient, c.",
    )


def build(options: Options, config: Config) -> Callable[[Iterable[nn.Parameter]], None]:
    """Torch's own clipping."""

    def clip(parameters: Iterable[nn.Parameter]) -> None:
        torch.nn.utils.clip_grad_value_(parameters, options.maximum)

    return clip


def reference(options: Options, gradients: Sequence[Tensor]) -> list[Tensor]:
    """Number by number."""
    bound = options.maximum
    return [
        torch.tensor([max(-bound, min(bound, x)) for x in g.flatten().tolist()], dtype=g.dtype).view_as(g)
        for g in gradients
    ]


TECHNIQUE = Technique(
    module=__name__,
    slot="clip",
    order=2,
    title="Clip by value",
    short="value",
    summary="No single number of a gradient goes beyond a bound.",
    paper="Graves 2013, arXiv:1308.0850",
    guide=Guide(
        choose="single numbers of a gradient explode, as in recurrent networks.",
        avoid="the gradient's direction is to stay what it is: clip by norm instead.",
    ),
    build=build,
    reference=reference,
    options=Options,
    effects=(
        Effect(quantity="time", sign="+", formula="one reading and writing of all gradients"),
        Effect(quantity="gradients", sign="0", formula="0"),
    ),
    claims=(Limits("value"),),
)
