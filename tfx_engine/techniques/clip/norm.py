"""Clipping by norm: if all gradients together are longer than a bound, they are all made shorter alike.

What it is: the gradients of all weights are taken as one long vector. Where its length exceeds the bound c, every
gradient is multiplied by the same factor, so that the length becomes c and the direction stays what it was. Steps with
ordinary gradients are not touched.

Formula, over all trained weights together:
    ‖g‖ = sqrt(Σ g²)        g ← g · min(1, c / (‖g‖ + 1e-6))

What it costs: one reading of all gradients and, on steps that are clipped, one writing; no memory to speak of. It needs
all gradients at the same time: with an update within the backward pass there is no such moment. Nothing waits for the
device: the factor is computed there.

What it does to an optimizer depends on the optimizer. Plain descent takes steps of at most learning rate times c. Adam
divides by the running size of the gradients, so what clipping changes there is how much a rare huge gradient spoils the
running means for the hundreds of steps that they remember. Lion and Muon use little or nothing of the gradients' size.

When to choose it: in nearly every language-model training; 1.0 is what most published models use. The gradient norms
shown for a run are those before clipping: put the bound a little above their usual size, so that it catches only the
exceptions. When not: if most steps are clipped, what one trains with is a smaller learning rate in disguise, and two
runs with different losses can no longer be compared by their rates. A loss that is not a number is not mended by it: a
norm that is not finite makes all gradients so.

Paper: Pascanu, Mikolov, Bengio, "On the difficulty of training Recurrent Neural Networks" (2012), arXiv:1211.5063.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import Limits
from tfx_engine.techniques.technique import Technique

_EPSILON = 1e-6  # torch's, in the division


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    maximum: float = option(
        1.0, kind="float", label="largest norm", low=1e-9, high=1e9,
        help="Bound on the length of all gradients together, c.",
    )


def build(options: Options, config: Config) -> Callable[[Iterable[nn.Parameter]], None]:
    """Torch's own clipping."""

    def clip(parameters: Iterable[nn.Parameter]) -> None:
        torch.nn.utils.clip_grad_norm_(parameters, options.maximum)

    return clip


def reference(options: Options, gradients: Sequence[Tensor]) -> list[Tensor]:
    """Number by number."""
    norm = math.sqrt(sum(number * number for gradient in gradients for number in gradient.flatten().tolist()))
    return [gradient * min(1.0, options.maximum / (norm + _EPSILON)) for gradient in gradients]


TECHNIQUE = Technique(
    module=__name__,
    slot="clip",
    order=1,
    title="Clip by norm",
    short="norm",
    summary="If all gradients together are longer than a bound, they are all made shorter alike.",
    paper="Pascanu et al. 2012, arXiv:1211.5063",
    guide=Guide(
        choose="rare steps with huge gradients throw training off; nearly every language model is trained with it.",
        avoid="most steps would be clipped: that is a smaller learning rate in disguise.",
    ),
    build=build,
    reference=reference,
    options=Options,
    effects=(
        Effect(quantity="time", sign="+", formula="one reading of all gradients, and one writing where it clips"),
        Effect(quantity="gradients", sign="0", formula="0"),
    ),
    claims=(Limits(),),
)
