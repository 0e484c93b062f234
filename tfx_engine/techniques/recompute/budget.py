"""Budget: the compiler recomputes as little as it can, so that the kept activations stay within a share.

What it is: in a compiled model the whole graph of forward and backward pass is known beforehand. The compiler can weigh
every tensor: how many bytes it would save to drop it, and how much work it would be to compute it again. Which tensors
to keep under a bound is a knapsack problem, and it is solved as one. The bound is a share: 1 is what the compiled model
keeps by itself, 0 what it keeps if every block's inputs alone stay.

Formula: minimise the FLOPs that run again, subject to kept bytes ≤ budget · what would be kept without it

What it costs: FLOPs that depend on the graph and cannot be told before it is compiled; no more than one forward pass.
Small budgets cost little at first, since there is always something large that is quick to make again (activation
functions, norms, masks); the last stretch towards 0 is the dear one. Compiling takes somewhat longer. Since which
products run again is the compiler's decision, the hardware FLOPs shown for a run leave them out.

Compiling alone saves already: torch's compiler never keeps what can be made from kept tensors within a fused kernel.
So compare with the compiled model at budget 1, not with the eager one.

When to choose it: if a model is compiled anyway and memory is a little short: one number in place of a decision about
blocks and operators. When not: without compiling it means nothing; with few, large blocks whose boundaries matter,
`every_block` is predictable where this is not. The results are the same as without it, up to the rounding that
compiling brings.

Paper: torch's documentation of `torch._functorch.config.activation_memory_budget`; the idea of an optimal choice: Jain
and others, "Checkmate: Breaking the Memory Wall with Optimal Tensor Rematerialization" (2019), arXiv:1910.02653.
"""

from __future__ import annotations

import dataclasses

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide, Rule
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.recompute import Recompute
from tfx_engine.techniques.recompute.none import run_block
from tfx_engine.techniques.tape import Tape
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    share: float = option(
        0.5, kind="float", label="budget", low=0.0, high=1.0,
        help="Share of the activations that may be kept; 1 keeps what the compiler keeps by itself.",
    )


def build(options: Options, config: Config) -> Recompute:
    """Blocks as they are: the compiler is told when it compiles them (see `compile/`)."""
    return run_block


def reference(block: nn.Module, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """The block as it is: recompute changes no number."""
    return block(x_BTD, context)


def memory(tape: Tape, options: Options, layer: int) -> None:
    """The compiler decides; nobody knows beforehand."""


TECHNIQUE = Technique(
    module=__name__,
    slot="recompute",
    order=3,
    title="Memory budget",
    short="budget",
    summary="The compiler recomputes as little as it can, so that the kept activations stay within a share.",
    paper="Jain et al. 2019, arXiv:1910.02653 (the idea)",
    guide=Guide(
        choose="the model is compiled and activations are a little too large.",
        avoid="nothing is compiled, or it must be known beforehand what runs again.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    again=None,
    requires=(
        Rule(
            slot="compile", names=("default", "reduce_overhead", "max_autotune"),
            reason="Only a compiler knows the graph in which it chooses what to keep.",
        ),
    ),
    effects=(
        Effect(quantity="activations", sign="-", formula="share × what the compiled model keeps"),
        Effect(quantity="flops", sign="+", formula="at most one forward pass; the compiler decides"),
    ),
)
