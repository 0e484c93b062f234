"""Compile: the model's forward and backward pass become a few large kernels in place of many small operations.

What it is: torch.compile follows the Python code once, writes down the graph of operations, works out the graph of the
backward pass, and generates code for both: C++ for the CPU, Triton for GPUs. Chains of elementwise operations become
one loop that reads and writes memory once; norms and activation functions join in. Large matrix products and attention
stay the library kernels that they were. What can be made again from kept tensors within a fused loop is not kept.

Formula: f(x), up to rounding

What it costs: time before the first step, from ten seconds to some minutes. It is a phase of its own in the run, and
no step of it counts. Sizes are taken to be fixed until one changes; then it is compiled once more, for any size.
Pieces of a batch that differ by a sample do that, and a mixture of experts, whose experts get as many tokens as the
data say; if it happens while steps run, the run says so. Code that the compiler cannot follow breaks the graph in two;
the run says how many graphs there are. Random numbers are drawn in another order, so dropout drops others than
uncompiled. Rounding differs in the last digits, which training amplifies as it does any rounding.

What is compiled is the model, and by itself the loss where it is one graph; the optimizer is not. Attention maps and
held-out losses are taken from the same model uncompiled, so that the training does not notice them.

When to choose it: if a model trains for more than a few minutes, above all in 16-bit formats on a GPU, where the
elementwise work between the matrix products is a large part. When not: for short runs, or to measure what a technique
by itself costs, since compiled code may hide it.

Paper: Ansel and others, "PyTorch 2: Faster Machine Learning Through Dynamic Python Bytecode Transformation and Graph
Compilation" (ASPLOS 2024), doi:10.1145/3620665.3640366.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.claims import SameCompiled
from tfx_engine.techniques.compile import check_compiler, compiler
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, config: Config) -> Callable[[Any], Any]:
    """torch.compile as it is."""
    return compiler(config, "default")


def reference(function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
    """The function itself."""
    return function(*inputs)


TECHNIQUE = Technique(
    module=__name__,
    slot="compile",
    order=1,
    title="Compile",
    short="compiled",
    summary="The forward and backward pass become a few large kernels in place of many small operations.",
    paper="Ansel et al. 2024, doi:10.1145/3620665.3640366",
    guide=Guide(
        choose="the same model trains for more than a few minutes.",
        avoid="runs are short, or a technique's own cost is to be measured.",
    ),
    build=build,
    reference=reference,
    check=check_compiler,
    effects=(
        Effect(quantity="time", sign="-", formula="elementwise operations read and write memory once"),
        Effect(quantity="activations", sign="-", formula="what fused kernels can make again is not kept"),
        Effect(quantity="flops", sign="0", formula="0"),
    ),
    claims=(SameCompiled(),),
)
