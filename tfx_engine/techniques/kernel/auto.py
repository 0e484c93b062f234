"""Automatic kernel: torch picks the fastest that fits the device, the sizes and the mask.

What it is: `scaled_dot_product_attention`. It has several implementations of one formula and dispatches to the first
that can do what is asked: a fused one that never writes the square of scores to memory, or the plain one. Which one it
takes depends on the device, the number format, the widths of the heads, the mask and whether gradients are needed; a
small change of a configuration can move it from the one to the other, and with it time and memory by a factor. So what
was really used is shown with the run, never what was hoped for.

A soft cap is beyond all of them; then the plain form in torch operations is used. Where a fused kernel takes a mask but
no keys that several heads share, the keys are repeated for it, which costs far less than the plain form would.

Formula: y = softmax(q · kᵀ · scale + bias) · v

What it costs: with a fused kernel memory grows with the context, without one with its square. Results of different
kernels differ in the last digits, since they add up in another order; in float32 that is some 10⁻⁶.

Choose it for speed and no questions: it is the right choice for nearly every run. Rather not to compare kernels with
each other, or where a measurement must mean the same on another device or with another version of torch: there name the
kernel, so that its absence is said and not made up for.

Paper: Dao, Fu, Ermon, Rudra, Ré, "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness" (2022),
arXiv:2205.14135.
"""

from __future__ import annotations

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.claims import Same
from tfx_engine.techniques.dispatch import TorchKernel
from tfx_engine.techniques.kernel import Kernel, plain_attention
from tfx_engine.techniques.scores_memory import by_torch
from tfx_engine.techniques.tape import Attending, Tape, Value
from tfx_engine.techniques.technique import NoOptions, Technique


def build(options: NoOptions, config: Config) -> Kernel:
    """The kernel."""
    return TorchKernel()


def memory(tape: Tape, options: NoOptions, q: Value, k: Value, v: Value, scoring: Attending) -> Value:
    """That of the kernel that torch takes."""
    return by_torch(tape, "", q, k, v, scoring)


TECHNIQUE = Technique(
    module=__name__,
    slot="kernel",
    order=0,
    title="Automatic kernel",
    short="auto",
    summary="Torch picks the fastest kernel that fits the device, the sizes and the mask.",
    paper="Dao et al. 2022, arXiv:2205.14135",
    guide=Guide(
        choose="you want speed and no questions.",
        avoid="you compare kernels, or need the same one on every machine.",
    ),
    build=build,
    reference=plain_attention,
    memory=memory,
    effects=(Effect(quantity="activations", sign="-", formula="no square of scores where a fused kernel fits"),),
    claims=(Same(plain="eager"),),
)
