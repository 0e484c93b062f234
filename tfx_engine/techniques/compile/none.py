"""No compiling: torch runs one operation after the other.

What it is: eager mode. Every operation of the forward pass is a call from Python to a kernel, and the backward pass
replays their gradients. Errors name the line where they happened, a tensor can be looked at wherever one likes, and
nothing waits for a compiler.

Formula: f(x) as written

What it costs: small operations each read their inputs from memory and write their result back, so a chain of five
elementwise steps moves five times as much as it must. And each call takes Python some microseconds: while a large
matrix product runs, the next calls are prepared unnoticed, but a small model on a fast device waits for Python. How
much of that a compiler can win back depends on the model: much where norms, activation functions and casts dominate,
little where large matrix products do, for these are the same kernels either way.

When to choose it: to try things out, for short runs, for measuring what a technique itself does: each operation is then
what its page says, its memory included. Differences between two eager runs are differences between the techniques;
between two compiled runs they may be differences between what the compiler made of them. When not: if the same model
trains for hours. Compiling takes a minute or a few, once, and pays for itself.

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
