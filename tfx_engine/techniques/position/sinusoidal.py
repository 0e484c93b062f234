"""Sinusoidal positions: a fixed pattern of sines and cosines is added to the token vectors.

What it is: position p gets a vector of width d whose columns swing at geometrically spaced wavelengths, from 2π to
about 10000 · 2π tokens. Shifting by k positions is a rotation of each (sine, cosine) pair, so a linear layer can
express "k tokens back". Nothing is learnt, and any position has a vector.

Formula (columns i = 0 ... d - 1, interleaved):
    PE(p, i) = sin(p / 10000^(2 · floor(i / 2) / d)) where i is even, cos(...) of the same angle where i is odd
    y = x + PE
An odd width ends with a sine that has no cosine.

What it costs: no parameters, one addition per activation, and a table of context × width numbers. Each vector has
squared length d / 2, far more than token vectors begin with, so these are multiplied by sqrt(d) first: the
embedding's `scale`, which is on automatically here.

Paper: Vaswani and others, "Attention Is All You Need" (2017), section 3.5, arXiv:1706.03762.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.position import Position, Positioned
from tfx_engine.techniques.technique import NoOptions, Technique

WAVELENGTH_BASE = 10_000.0


class SinusoidalPosition(Position):
    """Adds the encoding. The table is made at the first forward pass, for the device and the dtype it meets there."""

    table_TD: Tensor

    def __init__(self, width: int, context: int) -> None:
        super().__init__()
        self.width, self.context = width, context
        self.register_buffer("table_TD", torch.empty(0, width, device="cpu"), persistent=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        """The input plus its positions; longer than the context is possible."""
        tokens = x_BTD.shape[1]
        table_TD = self.table_TD
        if tokens > table_TD.shape[0] or table_TD.dtype != x_BTD.dtype or table_TD.device != x_BTD.device:
            table_TD = self.table_TD = self._make_table(max(tokens, self.context), x_BTD)
        return x_BTD + table_TD[:tokens]

    def _make_table(self, tokens: int, like: Tensor) -> Tensor:
        # In float64 on the CPU: the same bits on every device, and MPS has no float64.
        position_T1 = torch.arange(tokens, dtype=torch.float64, device="cpu").unsqueeze(1)
        pair_D = torch.arange(self.width, dtype=torch.float64, device="cpu") // 2
        angle_TD = position_T1 * torch.exp(pair_D * (-2.0 * math.log(WAVELENGTH_BASE) / self.width))
        angle_TD[:, 0::2].sin_()
        angle_TD[:, 1::2].cos_()
        return angle_TD.to(device=like.device, dtype=like.dtype)


def build(options: NoOptions, config: Config) -> Position:
    """The encoding for the model's width and context."""
    return SinusoidalPosition(config.model.width, config.model.context)


def reference(
    module: SinusoidalPosition, x_BTD: Tensor, q_BHTK: Tensor, k_BGTK: Tensor, layer: int
) -> Positioned:
    """The formula, number by number."""
    _, tokens, width = x_BTD.shape
    y_BTD = x_BTD.clone()
    for p in range(tokens):
        for i in range(width):
            angle = p / WAVELENGTH_BASE ** (2 * (i // 2) / width)
            y_BTD[:, p, i] += math.sin(angle) if i % 2 == 0 else math.cos(angle)
    return Positioned(y_BTD, q_BHTK, k_BGTK, None)


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
    effects=(
        Effect(quantity="parameters", sign="0", formula="0"),
        Effect(quantity="flops", sign="0", formula="one addition per activation, not counted"),
    ),
)
