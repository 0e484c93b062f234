"""Learned positions: every position has a vector of its own, trained like any other weight.

What it is: a table with one row per position of the context, added to the token vectors before the first block. The
model finds out by itself what a position should look like: nothing says that neighbouring rows must be alike, though
after training they usually are. Each row is trained only by the tokens that stand at its place, so all rows of the
context must really be used in training.

Formula: y = x + W[p], with p = 0 ... context - 1. Some published tables begin with rows that no token ever gets, an
accident of their code: with a first row f the token at p gets W[f + p] (OPT and RoBERTa have f = 2).

What it costs: context × width parameters, with their gradients and optimizer state. In a small model with a long
context that is a noticeable share of all weights. There is one addition per number of the stream, and no FLOPs are
counted for it.

Choose it when all inputs have about the same length, as in GPT-2 and BERT, or to rebuild one of these models. In the
original transformer's own comparison learned and sinusoidal positions came out nearly the same, so within the training
length the choice between these two rarely decides anything.

Rather not when inputs may become longer than the context: there is no row beyond it, and such an input is refused
rather than given a vector that means nothing. Shorter inputs are no problem. Rather not either when training is short,
since rows at the end are taught only by samples that reach so far; or when the same pattern should be recognised
wherever it stands: each place has to learn it anew, where rotary positions, ALiBi and T5's bias see distances.

Paper: Gehring and others, "Convolutional Sequence to Sequence Learning" (2017), arXiv:1705.03122; used by BERT
(arXiv:1810.04805) and GPT-2.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import TellsOrder
from tfx_engine.techniques.position import Position, Positioned
from tfx_engine.techniques.tape import Places, Tape
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    first_row: int = option(
        0, kind="int", label="first row", low=0, high=1024,
        help="Rows of the table before that of the first token; none of them is ever used. OPT and RoBERTa have 2.",
    )


class LearnedPosition(Position):
    """Adds row `first` + p of `weight` [first + context, D] to the token at position p."""

    def __init__(self, width: int, context: int, first: int = 0) -> None:
        super().__init__()
        self.first = first
        self.weight = nn.Parameter(torch.empty(first + context, width))

    def forward(self, x_BTD: Tensor) -> Tensor:
        """The input plus its positions. Raises ValueError beyond the context."""
        tokens, context = x_BTD.shape[1], self.weight.shape[0] - self.first
        if tokens == context and not self.first:  # a slice would cost a table of zeros in the backward pass
            return x_BTD + self.weight
        if tokens > context:
            raise ValueError(f"learned positions end at {context} tokens, but the input has {tokens}")
        return x_BTD + self.weight[self.first : self.first + tokens]


def build(options: Options, config: Config) -> Position:
    """A table for the model's context."""
    return LearnedPosition(config.model.width, config.model.context, options.first_row)


def reference(module: LearnedPosition, x_BTD: Tensor, q_BHTK: Tensor, k_BGTK: Tensor, layer: int) -> Positioned:
    """Row by row."""
    rows_TD = torch.stack([module.weight[module.first + p] for p in range(x_BTD.shape[1])])
    return Positioned(torch.stack([x_TD + rows_TD for x_TD in x_BTD]), q_BHTK, k_BGTK, None)


def memory(tape: Tape, options: Options) -> Places:
    """A sum with a table, whose gradient is that of one sample."""
    rows = tape.context + options.first_row
    weights = tape.parameter("table", rows, tape.config.model.width)
    return Places(add=lambda tape, x: tape.make(x, weights=weights, passes=1))


TECHNIQUE = Technique(
    module=__name__,
    slot="position",
    order=2,
    title="Learned positions",
    short="learned",
    summary="Every position of the context has a trained vector of its own.",
    paper="Gehring et al. 2017, arXiv:1705.03122",
    guide=Guide(
        choose="all inputs have about the same length, as in GPT-2 and BERT.",
        avoid="inputs may be longer than the context, or training is too short to teach every row.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    params=lambda options, config: (options.first_row + config.model.context) * config.model.width,
    effects=(
        Effect(quantity="parameters", sign="+", formula="(first row + context) × width"),
        Effect(quantity="gradients", sign="+", formula="context × width × 4 bytes"),
        Effect(quantity="optimizer", sign="+", formula="context × width × 8 bytes with AdamW"),
    ),
    claims=(TellsOrder(),),
)
