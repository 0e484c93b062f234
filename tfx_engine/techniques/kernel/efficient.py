"""Memory-efficient attention: a fused kernel that also takes a mask.

What it is: like flash attention it goes over keys and values in pieces and never writes the square of scores to memory.
It came first as an observation that attention needs memory only for one running maximum and two running sums, and
torch's form of it stems from the xFormers library. It is less specialised than flash attention: it takes 32-bit inputs,
heads of any width, values of another width than queries, and a bias that is added to the scores, also one that is
trained.

So it is what torch uses on CUDA for position biases, windows and sinks, whose masks have to be written out, and for
training in 32 bits. The mask itself is then the largest tensor around: heads × T × T where heads differ. Keys that
several query heads share it does not take; they are repeated for it first.

Formula: y = softmax(q · kᵀ · scale + bias) · v, keys and values in pieces, with a running maximum and running sums

What it costs: memory that grows with the context, and the bias where there is one. In the backward pass the products of
the scores run once more. It is usually a little slower than flash attention where both can be used.

Choose it to compare kernels, or on CUDA where a mask is needed and you want to be sure that the plain form is not used
in secret. Rather not on a CPU, which has no such kernel, or where nothing but a causal mask is needed in 16 bits. Where
it cannot be used, the run says so and shows what was.

Paper: Rabe, Staats, "Self-attention Does Not Need O(n²) Memory" (2021), arXiv:2112.05682.
"""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import Same
from tfx_engine.techniques.dispatch import TorchKernel, check_kernel
from tfx_engine.techniques.kernel import Kernel, plain_attention
from tfx_engine.techniques.scores_memory import by_torch
from tfx_engine.techniques.tape import Attending, Tape, Value
from tfx_engine.techniques.technique import NoOptions, Technique


def check(options: NoOptions, config: Config) -> Iterator[Problem]:
    """Say where the device, the widths or the mask are not for it."""
    yield from check_kernel("efficient", config)


def build(options: NoOptions, config: Config) -> Kernel:
    """The kernel."""
    return TorchKernel("efficient")


def memory(tape: Tape, options: NoOptions, q: Value, k: Value, v: Value, scoring: Attending) -> Value:
    """That of the kernel that torch takes."""
    return by_torch(tape, "efficient", q, k, v, scoring)


TECHNIQUE = Technique(
    module=__name__,
    slot="kernel",
    order=3,
    title="Memory-efficient",
    short="efficient",
    summary="A fused kernel without the square of scores that takes masks, biases and 32 bits.",
    paper="Rabe and Staats 2021, arXiv:2112.05682",
    guide=Guide(
        choose="a CUDA device, and a mask or bias that flash attention does not take.",
        avoid="a CPU, which has no such kernel, or a plain causal mask in 16 bits.",
    ),
    build=build,
    reference=plain_attention,
    memory=memory,
    check=check,
    effects=(
        Effect(quantity="activations", sign="-", formula="one number per query and head, no square of weights"),
        Effect(quantity="parameters", sign="0", formula="0"),
    ),
    claims=(Same(plain="eager"),),
)
