"""cuDNN attention: the fused kernel of NVIDIA's own library.

What it is: NVIDIA's cuDNN builds an attention kernel for the given shapes at run time and keeps it. The algorithm is
that of flash attention; what differs is that the library's authors know the newest devices first. On the Hopper
generation it is often the fastest of torch's kernels, which is why torch prefers it there by itself in some versions
and not in others. Naming it here makes runs comparable across versions.

Building a kernel takes time at the first step of each new shape, which falls into the warm-up. Shapes that change from
step to step would pay it again and again.

Formula: y = softmax(q · kᵀ · scale + bias) · v, tile by tile

What it costs: memory that grows with the context and not with its square. In the backward pass the products of the
scores run once more.

Choose it on recent NVIDIA devices in 16 bits, and compare it with `flash`: which is faster depends on widths, contexts
and versions. Rather not on anything else: without CUDA there is no such kernel, in 32 bits neither, and heads may be no
wider than the library's version allows on the device. Where it cannot be used, the run says so and shows what was.

Paper: none of its own; NVIDIA, "cuDNN Frontend API, Attention"; the algorithm is that of Dao and others,
"FlashAttention" (2022), arXiv:2205.14135, and Shah and others, "FlashAttention-3" (2024), arXiv:2407.08608.
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
    yield from check_kernel("cudnn", config)


def build(options: NoOptions, config: Config) -> Kernel:
    """The kernel."""
    return TorchKernel("cudnn")


def memory(tape: Tape, options: NoOptions, q: Value, k: Value, v: Value, scoring: Attending) -> Value:
    """That of the kernel that torch takes."""
    return by_torch(tape, "cudnn", q, k, v, scoring)


TECHNIQUE = Technique(
    module=__name__,
    slot="kernel",
    order=4,
    title="cuDNN attention",
    short="cudnn",
    summary="The fused kernel of NVIDIA's own library, made for the newest devices first.",
    paper="Dao et al. 2022, arXiv:2205.14135 (the algorithm)",
    guide=Guide(
        choose="a recent NVIDIA device and 16-bit training; compare it with flash.",
        avoid="any other device, or 32 bits.",
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
