"""Math kernel: attention as torch spells it out, in matrix products and a softmax.

What it is: the plain form behind torch's `scaled_dot_product_attention`. Scores are a matrix product, the softmax is
taken over the whole square, and a second product mixes the values. Nothing is fused, so every number in between is
written to memory and read again, and the T × T weights of every head are kept for the backward pass.

It runs on every device, in every number format, for every width of heads and every mask, also for a mask that is
trained itself. That makes it what torch falls back to when no fused kernel fits, and the form to compare the others
with: the fused ones add up in another order, so that their results differ from it in the last digits. 16-bit inputs are
turned into 32-bit ones first, which costs memory of its own.

Formula: y = softmax(q · kᵀ · scale + bias) · v

What it costs: memory grows with the square of the context: heads × T × T numbers per layer and sample. At short
contexts that is little, and the plain products may even be the fastest on a CPU; at long ones the memory is what ends
the run. FLOPs are those of every kernel; nothing of a causal mask is skipped.

Choose it to see what the fused kernels save, to rule them out when numbers look wrong, or where results are to be
repeated on another device as closely as possible. Rather not for training in earnest, and not with long contexts. A
soft cap is beyond it; that is what the kernel `eager` is for.

Paper: Vaswani and others, "Attention Is All You Need" (2017), section 3.2.1, arXiv:1706.03762.
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
    yield from check_kernel("math", config)


def build(options: NoOptions, config: Config) -> Kernel:
    """The kernel."""
    return TorchKernel("math")


def memory(tape: Tape, options: NoOptions, q: Value, k: Value, v: Value, scoring: Attending) -> Value:
    """That of the kernel that torch takes."""
    return by_torch(tape, "math", q, k, v, scoring)


TECHNIQUE = Technique(
    module=__name__,
    slot="kernel",
    order=1,
    title="Math kernel",
    short="math",
    summary="Attention spelt out in matrix products and a softmax, by torch.",
    paper="Vaswani et al. 2017, arXiv:1706.03762",
    guide=Guide(
        choose="you want to see what the fused kernels save, or rule them out.",
        avoid="the context is long: the square of weights is kept for every head.",
    ),
    build=build,
    reference=plain_attention,
    memory=memory,
    check=check,
    effects=(
        Effect(quantity="activations", sign="+", formula="weights, heads × T × T per layer"),
        Effect(quantity="parameters", sign="0", formula="0"),
    ),
    claims=(Same(plain="eager"),),
)
