"""Sinusoidal positions: a fixed pattern of sines and cosines is added to the token vectors.

What it is: position p gets a vector of width d whose columns swing at geometrically spaced wavelengths, from 2π to
about base · 2π tokens: the fast ones tell neighbours apart, the slow ones the beginning from the end. Shifting by n
positions is a rotation of each (sine, cosine) pair, so a linear layer can express "n tokens back". Nothing is learnt,
and every position has a vector.

Formula (columns i = 0 ... d - 1, interleaved):
    PE(p, i) = sin(p / base^(2 · floor(i / 2) / d)) where i is even, cos(...) of the same angle where i is odd
    y = x + PE
The layout "concat" has the same columns in another order, all sines before all cosines, as Marian has them. An odd
width has one sine without a cosine.

What it costs: no parameters, one addition per number of the stream, and a table of context × width numbers. Each vector
has squared length d / 2, far more than token vectors begin with, so these are multiplied by sqrt(d) first: the
embedding's `scale`, which is on automatically here.

Choose it when positions should cost no parameters, or when you want the original transformer, whose authors found
hardly any difference to learned positions. A vector exists for any length, yet that is not the same as working there:
the blocks have never seen the sums that arise beyond the training length, and the loss usually rises at once. Where
longer inputs matter, ALiBi was made for them; where distances matter more than places, take rotary positions, which
act on queries and keys and leave the stream alone.

Paper: Vaswani and others, "Attention Is All You Need" (2017), section 3.5, arXiv:1706.03762.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import TellsOrder
from tfx_engine.techniques.position import Position, Positioned, Tables
from tfx_engine.techniques.tape import Places, Tape
from tfx_engine.techniques.technique import Technique

# B batch, T tokens, D width


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    base: float = option(
        10_000.0, kind="float", label="base", low=2.0, high=1e12,
        help="The longest wave is about 2π · base tokens long.",
    )
    layout: str = option(
        "interleaved", kind="choice", label="layout", choices=("interleaved", "concat"),
        help="interleaved: sine and cosine of a wave stand side by side. concat: all sines, then all cosines.",
    )


class SinusoidalPosition(Position):
    """Adds the encoding, in the dtype of what it is added to."""

    def __init__(self, width: int, context: int, options: Options) -> None:
        super().__init__()
        self.width, self.context, self.options = width, context, options
        self._tables = Tables()

    def prepare(self, device: torch.device, dtype: torch.dtype) -> None:
        """The table for the context."""
        self._table(self.context, device, dtype)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """The input plus its positions; longer than the context is possible."""
        return x_BTD + self._table(x_BTD.shape[1], x_BTD.device, x_BTD.dtype)

    def _table(self, tokens: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        return self._tables.get(device, dtype, tokens, lambda: self._make_table(max(tokens, self.context)))

    def _make_table(self, tokens: int) -> Tensor:
        position_T1 = torch.arange(tokens, dtype=torch.float64, device="cpu").unsqueeze(1)
        pair_D = torch.arange(self.width, dtype=torch.float64, device="cpu") // 2
        table_TD = position_T1 * torch.exp(pair_D * (-2.0 * math.log(self.options.base) / self.width))
        table_TD[:, 0::2].sin_()
        table_TD[:, 1::2].cos_()
        if self.options.layout == "concat":
            table_TD = torch.cat([table_TD[:, 0::2], table_TD[:, 1::2]], dim=1)
        return table_TD


def build(options: Options, config: Config) -> Position:
    """The encoding for the model's width and context."""
    return SinusoidalPosition(config.model.width, config.model.context, options)


def reference(
    module: SinusoidalPosition, x_BTD: Tensor, q_BHTK: Tensor, k_BGTK: Tensor, layer: int
) -> Positioned:
    """The formula, number by number."""
    _, tokens, width = x_BTD.shape
    sines = math.ceil(width / 2)
    y_BTD = x_BTD.clone()
    for p in range(tokens):
        for i in range(width):
            angle = p / module.options.base ** (2 * (i // 2) / width)
            column = i if module.options.layout == "interleaved" else i // 2 + (sines if i % 2 else 0)
            y_BTD[:, p, column] += math.sin(angle) if i % 2 == 0 else math.cos(angle)
    return Positioned(y_BTD, q_BHTK.clone(), k_BGTK.clone(), None)


def memory(tape: Tape, options: Options) -> Places:
    """A sum with a table, which keeps nothing."""
    return Places(add=lambda tape, x: tape.make(x, passes=1))


TECHNIQUE = Technique(
    module=__name__,
    slot="position",
    order=1,
    title="Sinusoidal positions",
    short="sinusoidal",
    summary="A fixed pattern of sines and cosines tells each token where it stands.",
    paper="Vaswani et al. 2017, arXiv:1706.03762",
    guide=Guide(
        choose="you want positions that cost no parameters and exist for any length.",
        avoid="the model must work far beyond its training length: it has a vector there, but has never seen it.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    effects=(
        Effect(quantity="parameters", sign="0", formula="0"),
        Effect(quantity="flops", sign="0", formula="one addition per activation, not counted"),
    ),
    claims=(TellsOrder(),),
)
