"""Plain residual: a branch is added to the stream.

What it is: y = x + F(x), the identity path of residual networks. A branch does not compute the next representation, it
computes a correction to the one there is. Going back, the gradient of the sum reaches x twice: once through F, and once
directly, without passing any weight. So every layer hears from the loss, however many layers are in between, which is
what lets transformers be deep.

Formula: x = x + F(x)

Seen from above, a model of L blocks is a stream of width d from the embedding to the head, to which 2 L branches in
turn add what they found, and from which each reads what all earlier ones have written. That is why it is called the
residual stream, and why what one layer writes can be read by any later one.

What it costs: nothing but the sum, which keeps nothing for the backward pass. The stream itself, d numbers per token,
lives through the whole pass.

If the branches' outputs are independent and of equal size, the variance of the stream grows in proportion to their
number, and a late branch changes it by little. The other techniques of this slot act on that: layer scale and ReZero
make branches begin silent, stochastic depth leaves some out in training, hyper-connections keep several streams.
DeepNorm, a placement, weighs the stream against the branch.

When to choose it: always, unless you have a reason. When not: in very deep models where the sum of all branches grows
too large and the norm placement does not help.

Paper: He and others, "Deep Residual Learning for Image Recognition" (2015), arXiv:1512.03385.
"""

from __future__ import annotations

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.residual import Branch, OneStream, Residual, scaled_by, skipped
from tfx_engine.techniques.tape import Streams, Tape
from tfx_engine.techniques.technique import NoOptions, Technique


class PlainConnection(nn.Module):
    """(x_BTD, Branch, skip) -> x_BTD."""

    def forward(self, x_BTD: Tensor, branch: Branch, skip: float = 1.0) -> Tensor:
        """The sum."""
        return skipped(x_BTD, skip) + branch(x_BTD)


class PlainResidual(OneStream):
    """One stream; every connection is a sum."""

    def connection(self, layer: int, branch: str) -> nn.Module:
        """The sum, which knows no layer."""
        return PlainConnection()


def build(options: NoOptions, config: Config) -> Residual:
    """The residual."""
    return PlainResidual()


def reference(module: PlainConnection, stream: Tensor, branch: Branch, skip: float) -> Tensor:
    """The sum, in another order."""
    return branch(stream).add(stream, alpha=skip)


def memory(tape: Tape, options: NoOptions) -> Streams:
    """A sum, which keeps nothing."""
    return Streams(join=lambda tape, x, branch, skip: tape.add(scaled_by(tape, x, skip), branch(x)))


TECHNIQUE = Technique(
    module=__name__,
    slot="residual",
    order=0,
    title="Plain residual",
    short="plain",
    summary="A branch is added to the stream.",
    paper="He et al. 2015, arXiv:1512.03385",
    guide=Guide(
        choose="you want the standard.",
        avoid="very deep models where the sum of all branches grows too large.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    effects=(Effect(quantity="parameters", sign="0", formula="0"),),
)
