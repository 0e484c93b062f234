"""Micro-batches: the batch goes through the model in pieces, and their gradients are added up.

What it is: forward and backward are done for one piece of the batch after the other; each backward pass adds to the
gradients that are there. After the last piece the weights move once. To the weights it is one step with the whole
batch; to the memory it is a batch as small as a piece.

Formula, for pieces i of a batch with n targets that count:
    loss = Σᵢ (sum over the targets of piece i) / n        g = Σᵢ ∇ (sum over the targets of piece i) / n

The division is by all targets of the batch that count. The common short cut, a mean over each piece and then the mean
of these means, is something else as soon as pieces differ in how many of their targets count (padding, prompts that are
not to be learnt): it gives a rare target more weight than a frequent one. The result here is that of the whole batch,
up to the rounding of sums.

What it costs: no FLOPs. Activations shrink to those of the largest piece. Matrix products become smaller, which leaves
a large device partly idle, and every piece pays the fixed price of starting its operations.

What is not the same as the whole batch: dropout draws other masks; a mixture of experts balances within each piece (its
auxiliary loss is not a sum over samples, and the mean of the pieces' values takes its place); anything else that looks
at several samples at once would differ too. Layer norm and RMS norm do not.

When to choose it: when the batch that you want does not fit into memory, or to see that its size, not its cutting,
decides how training goes. When not: when the batch fits; and weights are not to move during the backward pass, which
would be one step per piece.

Paper: Ott and others, "Scaling Neural Machine Translation" (2018), arXiv:1806.00187, where it is called delayed update.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.accumulation import Batch
from tfx_engine.techniques.claims import Same
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    pieces: int = option(
        2, kind="int", label="pieces", low=1, high=1_000_000,
        help="Pieces of about the same number of samples that the batch is cut into.",
    )


def check(options: Options, config: Config) -> Iterator[Problem]:
    """Every piece has a sample; warn of what is not a sum over samples."""
    if options.pieces > config.run.batch:
        yield Problem(
            code="out-of-range", path="techniques.accumulation.pieces",
            template="is {pieces}, more than the batch has samples ({batch}).",
            hint_template="Choose at most {batch} pieces, or a larger batch.",
            args={"pieces": options.pieces, "batch": config.run.batch},
        )
    elif options.pieces > 1 and config.techniques["feedforward"].options.get("balance_loss"):
        yield Problem(
            code="not-the-whole-batch", path="techniques.accumulation.use", level="warning",
            template="balances the experts within each piece, so that losses and gradients are not quite those of the "
                     "whole batch.",
            hint_template="Choose accumulation 'none', or balance_loss = 0 with a balance_rate.",
        )


def build(options: Options, config: Config) -> int:
    """The number of pieces."""
    return options.pieces


def reference(options: Options, loss_of: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
    """The loss of the whole batch at once: cutting changes nothing."""
    return loss_of(batch)


TECHNIQUE = Technique(
    module=__name__,
    slot="accumulation",
    order=1,
    title="Micro-batches",
    short="micro-batches",
    summary="The batch goes through the model in pieces, and their gradients are added up.",
    paper="Ott et al. 2018, arXiv:1806.00187",
    guide=Guide(
        choose="the batch that you want does not fit into memory.",
        avoid="the batch fits: smaller matrix products leave a large device partly idle.",
    ),
    build=build,
    reference=reference,
    options=Options,
    check=check,
    effects=(
        Effect(quantity="activations", sign="-", formula="those of the largest piece: about 1 / pieces"),
        Effect(quantity="flops", sign="0", formula="0"),
        Effect(quantity="time", sign="+", formula="smaller matrix products, and more of them"),
    ),
    claims=(Same(draws=False),),
)
