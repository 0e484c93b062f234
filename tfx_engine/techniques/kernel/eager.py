"""Eager kernel: attention written out in ten lines of torch operations.

What it is: the plain form in this program's own code, which anybody can read: a product of queries and keys, whatever
is done to the scores, the mask, a softmax, and a product with the values. Each step is an operation of its own, and
every square of scores in between is kept for the backward pass.

It can do everything that scores can be put through here, on every device, and is what the other kernels fall back to
when they cannot: a soft cap, for instance, is beyond all of torch's own. The attention maps of the panel are computed
in the same way, from queries and keys, beside whatever kernel the training uses. The softmax is taken in 32 bits also
where the rest is not, so that its weights add up to one.

Formula: y = softmax(softcap(q · kᵀ · scale) + bias) · v

What it costs: several squares of heads × T × T numbers per layer and sample, about twice what the kernel `math` keeps,
and the time to write and read them. Nothing of a causal mask is skipped. Keys that several query heads share are
repeated first.

Choose it as the baseline that shows what a fused kernel saves; with a soft cap where `flex` does not work; or for
experiments with the scores. Rather not for anything where time or memory count.

Paper: Vaswani and others, "Attention Is All You Need" (2017), section 3.2.1, arXiv:1706.03762.
"""

from __future__ import annotations

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.kernel import Kernel, Scoring, eager_attention, plain_attention
from tfx_engine.techniques.scores_memory import by_hand
from tfx_engine.techniques.tape import Attending, Tape, Value
from tfx_engine.techniques.technique import NoOptions, Technique

# B batch, H query heads, G key heads, T queries, S keys, K head width, V value width


class EagerKernel:
    """The whole square, always."""

    asked, reason = "eager", ""

    def attend(self, q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, scoring: Scoring) -> tuple[Tensor, str]:
        """y_BHTV."""
        return eager_attention(q_BHTK, k_BGSK, v_BGSV, scoring), "eager"


def build(options: NoOptions, config: Config) -> Kernel:
    """The kernel."""
    return EagerKernel()


def memory(tape: Tape, options: NoOptions, q: Value, k: Value, v: Value, scoring: Attending) -> Value:
    """The scores are written out."""
    return by_hand(tape, q, k, v, scoring)


TECHNIQUE = Technique(
    module=__name__,
    slot="kernel",
    order=6,
    title="Eager kernel",
    short="eager",
    summary="Attention written out in a few torch operations, with every square of scores kept.",
    paper="Vaswani et al. 2017, arXiv:1706.03762",
    guide=Guide(
        choose="you want a baseline for the fused kernels, or scores that none of them knows.",
        avoid="time or memory count.",
    ),
    build=build,
    reference=plain_attention,
    memory=memory,
    effects=(
        Effect(quantity="activations", sign="+", formula="scores and weights, heads × T × T each per layer"),
        Effect(quantity="time", sign="+", formula="every square is written and read"),
    ),
)
