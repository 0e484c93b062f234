"""Flex attention: a fused kernel is compiled for whatever is done to the scores.

What it is: torch's FlexAttention takes two small functions, one that changes a score and one that says which keys a
query may see, and compiles a flash-like kernel with both inside. So a soft cap, a position bias or a window need no
square of scores in memory, and blocks of keys that a mask forbids entirely are not computed at all. It is the only
kernel here that makes a sliding window faster and not just smaller in what it sees.

The mask is looked at in blocks of 128 by 128 once for each length; blocks that are entirely allowed need no test, those
that are entirely forbidden are skipped, and only the border is tested number by number. Here the causal mask and the
window are given to it by name; what else is added to the scores, such as position biases and sinks, it reads from a
tensor.

Formula: y = softmax(bias + softcap(q · kᵀ · scale) where allowed, else -∞) · v, tile by tile, forbidden tiles skipped

What it costs: memory that grows with the context, and the bias where there is one. Compiling takes seconds to minutes
at the first step, within the warm-up. With a window of W tokens the work of the scores falls from T to about W + 128
keys per query, though FLOPs are counted for the full square here, as is the custom.

Choose it for windows and soft caps on a CUDA device. Rather not where nothing but a causal mask is needed: flash
attention is usually faster there. On a CPU it has no backward pass; the kernel `eager` is used instead there, and
wherever compiling fails, and the run says so.

Paper: Dong, Feng, Guessous, Liang, He, "Flex Attention: A Programming Model for Generating Optimized Attention Kernels"
(2024), arXiv:2412.05496.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.claims import Same
from tfx_engine.techniques.devices import device_kind
from tfx_engine.techniques.flexible import FlexAttention, flex_refusal
from tfx_engine.techniques.kernel import Kernel, Scoring, eager_attention, plain_attention
from tfx_engine.techniques.scores_memory import by_hand
from tfx_engine.techniques.tape import Attending, Tape, Value
from tfx_engine.techniques.technique import NoOptions, Technique

# B batch, H query heads, G key heads, T queries, S keys, K head width, V value width


class FlexKernel:
    """FlexAttention where it works for this kind of input, else the plain form."""

    asked = "flex"

    def __init__(self) -> None:
        self.reason = ""
        self._flex = FlexAttention()

    def attend(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> tuple[Tensor, str]:
        """y_BHTV, and which of both it was."""
        self.reason = self._flex.refusal(q_BHTK, k_BGSK, v_BGSV, scoring)
        if self.reason:
            return eager_attention(q_BHTK, k_BGSK, v_BGSV, scoring), "eager"
        return self._flex(q_BHTK, k_BGSK, v_BGSV, scoring), "flex"


def check(options: NoOptions, config: Config) -> Iterator[Problem]:
    """Say where FlexAttention cannot train."""
    if reason := flex_refusal(device_kind(config)):
        yield Problem(
            code="kernel-not-here", path="techniques.kernel.use", level="warning",
            template="is 'flex', which cannot be used here: {reason}. The kernel 'eager' will be used.",
            hint_template="Choose the kernel 'auto', or a device that has it.", args={"reason": reason},
        )


def build(options: NoOptions, config: Config) -> Kernel:
    """The kernel."""
    return FlexKernel()


def memory(tape: Tape, options: NoOptions, q: Value, k: Value, v: Value, scoring: Attending) -> Value:
    """The scores are written out."""
    return by_hand(tape, q, k, v, scoring)


TECHNIQUE = Technique(
    module=__name__,
    slot="kernel",
    order=5,
    title="Flex attention",
    short="flex",
    summary="A fused kernel is compiled for the mask, the window and whatever is done to the scores.",
    paper="Dong et al. 2024, arXiv:2412.05496",
    guide=Guide(
        choose="a CUDA device, and a sliding window or a soft cap.",
        avoid="a CPU, or nothing but a causal mask: flash attention is usually faster then.",
    ),
    build=build,
    reference=plain_attention,
    memory=memory,
    check=check,
    effects=(
        Effect(quantity="activations", sign="-", formula="one number per query and head instead of the weights"),
        Effect(quantity="time", sign="-", formula="blocks that mask and window forbid are skipped"),
    ),
    claims=(Same(plain="eager"),),
)
