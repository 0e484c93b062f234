"""No clipping: gradients move the weights whatever their size.

What it is: the optimizer gets the gradients as the backward pass made them. How much harm a rare huge gradient does is
then a matter of the optimizer. Plain descent follows it wherever it points, as far as it is long. Adam bounds the step
by itself, since it divides by the running size of the gradients, but the huge one stays in that running size and makes
the steps that follow smaller for a while. Lion and Muon take a step of fixed size whatever the gradient's.

Formula: g as it is

What it costs: nothing, neither time nor memory. What it may cost is a run: once a step has thrown the weights far off,
the loss jumps, and it may take thousands of steps to come back or never do so. The steps with huge gradients are few,
so a short run tells little about whether a long one would need clipping; the largest gradient norm that was measured
tells a little more than the loss does.

When to choose it: if training is stable, if gradient norms are the very thing that you want to see at work, or in a
comparison in which the optimizer should show what it can do alone. It is the only choice together with an update within
the backward pass, for which there is no moment at which all gradients are there. When not: for long runs, for large
learning rates, with 16-bit numbers, and with post-norm placed blocks, whose first steps bring large gradients. Clipping
by norm at 1.0 costs next to nothing then.

Paper: the baseline of Pascanu, Mikolov, Bengio, "On the difficulty of training Recurrent Neural Networks" (2012),
arXiv:1211.5063.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, config: Config) -> None:
    """No bound."""
    return None


def reference(options: NoOptions, gradients: Sequence[Tensor]) -> list[Tensor]:
    """The gradients themselves."""
    return list(gradients)


TECHNIQUE = Technique(
    module=__name__,
    slot="clip",
    order=0,
    title="No clipping",
    short="none",
    summary="Gradients move the weights whatever their size.",
    paper="Pascanu et al. 2012, arXiv:1211.5063 (the baseline)",
    guide=Guide(
        choose="training is stable, or you want to see how large gradients really are in what they do.",
        avoid="single steps with huge gradients throw training off.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="time", sign="0", formula="0"),),
)
