"""Flash attention: the square of scores is worked through in tiles and never written down.

What it is: a fused kernel. It takes a tile of queries, runs over the keys and values tile by tile, and keeps for each
query only the result so far, the largest score and the sum of the exponentials. A new tile with a larger score rescales
what is there. At the end stands the exact softmax attention, not an approximation, and no T × T matrix ever reached the
device's main memory. The backward pass makes the scores again, tile by tile, from queries, keys and one number per row.

On a GPU the plain form is limited by the traffic to memory and not by arithmetic, so doing more arithmetic to save
traffic makes it faster. Tiles that a causal mask forbids entirely are skipped. On a CPU torch has a kernel of the same
build of its own.

Formula: y = softmax(q · kᵀ · scale) · v, tile by tile: m' = max(m, rowmax s), l' = exp(m - m') l + rowsum exp(s - m'),
y' = exp(m - m') y + exp(s - m') v, and y / l at the end

What it costs: memory that grows with the context and not with its square: the result and one number per query and head.
In the backward pass the products of the scores run once more; they are not counted as FLOPs of the model.

Choose it to be sure that this kernel is the one that is measured. Rather not where a mask has to be written out: on
CUDA it knows the causal mask only, wants 16-bit inputs and queries, keys and values of one width; on a CPU a mask will
do, but not one that is trained. Where it cannot be used, the run says so and shows what was.

Paper: Dao, Fu, Ermon, Rudra, Ré, "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness" (2022),
arXiv:2205.14135; Dao, "FlashAttention-2" (2023), arXiv:2307.08691.
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
    yield from check_kernel("flash", config)


def build(options: NoOptions, config: Config) -> Kernel:
    """The kernel."""
    return TorchKernel("flash")


def memory(tape: Tape, options: NoOptions, q: Value, k: Value, v: Value, scoring: Attending) -> Value:
    """That of the kernel that torch takes."""
    return by_torch(tape, "flash", q, k, v, scoring)


TECHNIQUE = Technique(
    module=__name__,
    slot="kernel",
    order=2,
    title="Flash attention",
    short="flash",
    summary="The square of scores is worked through in tiles and never written down.",
    paper="Dao et al. 2022, arXiv:2205.14135",
    guide=Guide(
        choose="you compare kernels and want to be sure that this one is measured.",
        avoid="windows, sinks or position biases need a mask that is written out, on a CUDA device.",
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
