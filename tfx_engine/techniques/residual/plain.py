"""Plain residual: a branch is added to the stream.

What it is: y = x + F(x), the identity path of residual networks. Gradients reach every layer through the sum without
passing any weight, which is what lets transformers be deep.

Formula: x = x + F(x)

What it costs: nothing but the sum.

Paper: He and others, "Deep Residual Learning for Image Recognition" (2015), arXiv:1512.03385.
"""

from __future__ import annotations

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.residual import Branch, Residual
from tfx_engine.techniques.technique import NoOptions, Technique


class PlainConnection(nn.Module):
    """(x_BTD, Branch, skip) -> x_BTD."""

    def forward(self, x_BTD: Tensor, branch: Branch, skip: float = 1.0) -> Tensor:
        """The sum."""
        return (x_BTD if skip == 1.0 else x_BTD * skip) + branch(x_BTD)


class PlainResidual:
    """One stream; every connection is a sum."""

    def connection(self, layer: int, branch: str) -> nn.Module:
        """The sum, which knows no layer."""
        return PlainConnection()

    def enter(self, x_BTD: Tensor) -> Tensor:
        """The input itself."""
        return x_BTD

    def leave(self, stream: Tensor) -> Tensor:
        """The stream itself."""
        return stream


def build(options: NoOptions, config: Config) -> Residual:
    """The residual."""
    return PlainResidual()


def reference(module: PlainConnection, stream: Tensor, branch: Branch, skip: float) -> Tensor:
    """The sum, in another order."""
    return branch(stream).add(stream, alpha=skip)


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
    effects=(Effect(quantity="parameters", sign="0", formula="0"),),
)
