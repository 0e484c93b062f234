"""Recompute blocks: keep a block's input only, and run the block again when its gradients are due.

What it is: activation checkpointing. The forward pass throws away what is inside a block; the backward pass runs that
block once more, block by block, from the last to the first, and uses up what it makes. Random numbers are replayed, so
dropout drops the same. Gradients are the same to the bit.

Formula: kept = one input per recomputed block + all of one block at a time + all of the blocks that are not recomputed

What it costs: one more forward pass of the recomputed blocks. A third more FLOPs would be the textbook's answer, for a
forward pass is a third of a step. Torch stops each block as soon as the last kept tensor is back, so its last matrix
product is not repeated where nothing after it keeps a tensor (pre-norm): with a four-fold feed-forward about 1.22 times
the FLOPs of a step. In exchange memory hardly grows with depth any more. At `every` = k only one block in k is
recomputed; time and memory both lie in between.

The model FLOPs, of which utilisation is computed, do not count what runs again, the hardware FLOPs do. A device that
was waiting for memory may pay less time than FLOPs.

When to choose it: when activations fill the memory: long contexts, large batches, many layers. It also pays where a
larger batch, made possible by it, uses the device better. When not: if the model fits anyway; or if weights, gradients
and optimizer state are what fills the memory, which it does not touch. Between keeping everything and keeping nothing,
`selective` keeps what is dear to compute and recomputes what is cheap.

Paper: Chen, Xu, Zhang, Guestrin, "Training Deep Nets with Sublinear Memory Cost" (2016), arXiv:1604.06174.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from fractions import Fraction

from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import KeepsLess, RunsAgain, Same
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.costs import Run
from tfx_engine.techniques.recompute import Checkpointed, Recompute, ran_again
from tfx_engine.techniques.tape import Tape
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    every: int = option(
        1, kind="int", label="every", low=1, high=10_000, unit="blocks",
        help="Recompute one block in so many, beginning with the first; the others keep their activations.",
    )


def build(options: Options, config: Config) -> Recompute:
    """The way to run a block."""
    return Checkpointed(options.every)


def again(options: Options, config: Config, runs: Sequence[Run]) -> int | Fraction:
    """All of the blocks that are recomputed, until the last kept tensor is back."""
    return ran_again(options.every, runs)


def reference(block: nn.Module, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """The block as it is: recompute changes no number."""
    return block(x_BTD, context)


def memory(tape: Tape, options: Options, layer: int) -> Callable[[str], bool] | None:
    """Nothing within the block is kept."""
    return None if layer % options.every else lambda operator: False


TECHNIQUE = Technique(
    module=__name__,
    slot="recompute",
    order=1,
    title="Recompute blocks",
    short="recompute",
    summary="Only a block's input is kept; the block runs again when its gradients are due.",
    paper="Chen et al. 2016, arXiv:1604.06174",
    guide=Guide(
        choose="activations fill the memory and a fifth to a quarter more time is acceptable.",
        avoid="the model fits anyway, or weights and optimizer state are what fills the memory.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    again=again,
    effects=(
        Effect(
            quantity="activations", sign="-",
            formula="layers / every inputs + one block + the blocks that are not recomputed",
        ),
        Effect(
            quantity="flops", sign="+",
            formula="forward of the recomputed blocks, less each last matrix product (pre-norm)",
        ),
        Effect(quantity="time", sign="+", formula="as the FLOPs"),
        Effect(quantity="parameters", sign="0", formula="0"),
    ),
    claims=(Same(), KeepsLess(), RunsAgain()),
)
