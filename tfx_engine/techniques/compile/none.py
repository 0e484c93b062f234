"""No compiling: torch runs one operation after the other.

What it is: eager mode. Every operation of the forward pass is a call from Python to a kernel, and the backward pass
replays their gradients. Errors name the line where they happened, and nothing waits for a compiler.

Formula: f(x) as written

What it costs: small operations each read and write memory, and small models wait for Python.

Paper: Paszke and others, "PyTorch: An Imperative Style, High-Performance Deep Learning Library" (2019),
arXiv:1912.01703.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, config: Config) -> Callable[[Any], Any]:
    """Nothing is changed."""
    return lambda function: function


def reference(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """The function itself."""
    return function(*inputs)


TECHNIQUE = Technique(
    module=__name__,
    slot="compile",
    order=0,
    title="No compiling",
    short="eager",
    summary="Torch runs one operation after the other.",
    paper="Paszke et al. 2019, arXiv:1912.01703",
    guide=Guide(
        choose="you try things out, or runs are short.",
        avoid="the same model trains for hours: compiling pays for itself.",
    ),
    build=build,
    reference=reference,
    effects=(Effect(quantity="time", sign="0", formula="0"),),
)
