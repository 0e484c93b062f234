"""Token embedding: every token of the vocabulary has a trained vector.

What it is: a table of V rows; a token's vector is its row. With sinusoidal positions the row is multiplied by sqrt(d),
as in the original transformer, because the rows begin small (deviation sqrt(2 / (5 d))) beside the encoding, whose
numbers have a size of about 0.71: the scaled rows begin at 0.63, at any width. The rows themselves begin the same
whether they are scaled or not, so that switching the positions leaves every other weight as it was.

A norm may bring the sum of vectors and positions to a common scale before the first block. BLOOM has one, because its
training was more stable with it; BERT has one, as its blocks are post-norm and expect normed input. It is a norm of the
kind that the slot "norm" says, with weights of its own. In pre-norm blocks without such trouble leave it out: every
branch norms its input anyway, and the norm takes away what the length of a token's vector could say.

BERT was trained on pairs of sentences and has a second table that says which of the two a token belongs to. Here all
belong to the first, so that its row is one trained vector added to all; the rows of the others are there for the sake
of a published model's weights, and nothing trains them.

Formula: x = W[token] (· sqrt(d) where scaled) (+ U[0] where there are token types); the norm, where there is one, and
then dropout fall on the sum of x and the positions.

What it costs: V · d parameters, and no FLOPs: it is a look-up. The same table serves the head where that is tied. A
norm adds the parameters of one more norm, n token types add n · d.

Choose it for everything that is made of tokens; for frames of numbers, such as patches of an image, there is `frames`.

Paper: Vaswani and others, "Attention Is All You Need" (2017), section 3.4, arXiv:1706.03762.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import Quiet
from tfx_engine.techniques.tape import SHARED, Tape, Value
from tfx_engine.techniques.technique import Technique


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    scale: bool | None = option(
        None, kind="bool", label="scale", automatic="on with sinusoidal positions",
        help="Multiply the token vectors by sqrt(width) before positions are added.",
    )
    norm: bool = option(
        False, kind="bool", label="norm",
        help="Norm the sum of token vectors and positions, as BERT and BLOOM do.",
    )
    types: int = option(
        0, kind="int", label="token types", low=0, high=1024,
        help="Rows of a second table, of which every token gets the first. BERT has 2, RoBERTa 1.",
    )
    dropout: float = option(
        0.0, kind="float", label="dropout", low=0.0, high=0.9,
        help="Share of the sum of token vectors and positions that is set to zero in training.",
    )


class TokenEmbedding(nn.Module):
    """tokens_BT -> x_BTD. The skeleton applies norm and dropout after the positions."""

    def __init__(self, vocab: int, width: int, scale: float, options: Options) -> None:
        super().__init__()
        self.scale, self.normed, self.dropout = scale, options.norm, options.dropout
        self.weight = nn.Parameter(torch.empty(vocab, width))
        self.type_weight = nn.Parameter(torch.empty(options.types, width)) if options.types else None

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """The rows of the tokens."""
        x_BTD = F.embedding(tokens_BT, self.weight)
        x_BTD = x_BTD if self.scale == 1.0 else x_BTD * self.scale
        return x_BTD if self.type_weight is None else x_BTD + self.type_weight[0]


def is_scaled(given: bool | None, config: Config) -> bool:
    """Whether token vectors are multiplied by sqrt(width); `given`: what the option says."""
    return config.use("position") == "sinusoidal" if given is None else given


def build(options: Options, config: Config) -> nn.Module:
    """A table for the model's vocabulary and width."""
    scale = math.sqrt(config.model.width) if is_scaled(options.scale, config) else 1.0
    return TokenEmbedding(config.vocab, config.model.width, scale, options)


def reference(module: TokenEmbedding, tokens_BT: Tensor) -> Tensor:
    """A one-hot vector times the table."""
    one_hot_BTV = F.one_hot(tokens_BT, module.weight.shape[0]).to(module.weight.dtype)
    x_BTD = one_hot_BTV @ module.weight * module.scale
    return x_BTD if module.type_weight is None else x_BTD + module.type_weight[:1].sum(dim=0)


def memory(tape: Tape, options: Options) -> Value:
    """Rows of the table; its gradient is as large as the table."""
    config = tape.config
    numbers, table = tape.tokens * config.model.width, (config.vocab, config.model.width)
    x = tape.make(numbers=numbers, width=tape.widths.weights, weights=tape.parameter("table", *table, key=SHARED))
    x = tape.scaled(x) if is_scaled(options.scale, config) else x
    return tape.make(x, passes=1, weights=tape.parameter("type", options.types, config.model.width)) \
        if options.types else x


TECHNIQUE = Technique(
    module=__name__,
    slot="embedding",
    order=0,
    title="Token embedding",
    short="token",
    summary="Every token of the vocabulary has a trained vector.",
    paper="Vaswani et al. 2017, arXiv:1706.03762",
    guide=Guide(
        choose="the input is made of tokens from a fixed vocabulary.",
        avoid="the vocabulary is much larger than the rest of the model: the table then holds most weights.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    params=lambda options, config: (config.vocab + options.types) * config.model.width,
    effects=(Effect(quantity="parameters", sign="+", formula="(vocabulary + token types) × width"),),
    kinds=("language", "answers"),
    claims=(Quiet(when="dropout"),),
)
