"""ALiBi: every score is lowered in proportion to the distance, more steeply in some heads than in others.

What it is: attention with linear biases. Nothing is added to the token vectors and nothing is learnt: before the
softmax, the score of a key that lies n tokens away is lowered by m · n. Each head has its own fixed slope m, so that
steep heads look at the nearest tokens and flat ones far back.

Formula: score(i, j) = q_i · k_j / sqrt(k) - m_h · |i - j|, with m_h = 2^(-8 h / H) for the heads h = 1 ... H. Where H
is no power of two, the slopes of the next smaller power come first, then every other slope of the next larger one, as
in BLOOM and MPT. The distance counts in both directions, so that the form without a causal mask is symmetric.

What it costs: no parameters and no counted FLOPs. The bias is H · T · T numbers, made once per forward pass for all
layers together. Kernels that know only the causal mask by name cannot add it: the kernel that is really used may be
another one than without ALiBi, and is shown.

Choose it when inputs may be longer than those of the training. The paper trained a model of 1.3 billion parameters at
1024 tokens and reported that at 2048 it matched a sinusoidal one trained there; in such comparisons the loss stays
flat beyond the training length. That is not the same as using what lies far back: a key's weight falls exponentially
with its distance, so a look-up over a long way has only the flat heads. Rather not when such look-ups are the task, or
when the fastest fused kernel is what you need.

Paper: Press, Smith, Lewis, "Train Short, Test Long: Attention with Linear Biases Enables Input Length Extrapolation"
(2021), arXiv:2108.12409.
"""

from __future__ import annotations

import dataclasses
import math

import torch
from torch import Tensor

from tfx_engine.protocol.cards import Effect, Guide, Rule
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.techniques.claims import TellsOrder
from tfx_engine.techniques.position import Position, Positioned
from tfx_engine.techniques.tape import FLOAT, Places, Tape
from tfx_engine.techniques.technique import Technique

# B batch, H heads, T tokens, K head width, D width


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be chosen."""

    exponent: float = option(
        8.0, kind="float", label="largest exponent", low=0.01, high=64.0,
        help="The flattest of H heads has the slope 2^(-exponent), where H is a power of two.",
    )


class AlibiPosition(Position):
    """Lowers scores by slope times distance."""

    def __init__(self, heads: int, exponent: float) -> None:
        super().__init__()
        self.slopes = slopes(heads, exponent)

    def bias(self, tokens: int, device: torch.device, dtype: torch.dtype) -> Tensor:
        """[H, T, T]: 0 on the diagonal, falling away from it."""
        place_T = torch.arange(tokens, device=device, dtype=dtype)
        slope_H11 = torch.tensor(self.slopes, device=device, dtype=dtype)[:, None, None]
        return (place_T[:, None] - place_T[None, :]).abs_().neg_() * slope_H11


def slopes(heads: int, exponent: float) -> list[float]:
    """One slope per head."""
    smaller = 2 ** int(math.log2(heads))
    first = [2 ** (-exponent * h / smaller) for h in range(1, smaller + 1)]
    between = [2 ** (-exponent * h / (2 * smaller)) for h in range(1, 2 * smaller, 2)]
    return first + between[: heads - smaller]


def build(options: Options, config: Config) -> Position:
    """The bias for the model's heads."""
    return AlibiPosition(config.model.heads, options.exponent)


def reference(module: AlibiPosition, x_BTD: Tensor, q_BHTK: Tensor, k_BGTK: Tensor, layer: int) -> Positioned:
    """Score by score."""
    places = range(q_BHTK.shape[2])
    bias = [[[-slope * abs(i - j) for j in places] for i in places] for slope in module.slopes]
    return Positioned(x_BTD.clone(), q_BHTK.clone(), k_BGTK.clone(), q_BHTK.new_tensor(bias))


def memory(tape: Tape, options: Options) -> Places:
    """A number for each head, query and key, once for all layers."""
    numbers = tape.config.model.heads * tape.context**2
    return Places(bias=lambda tape: tape.make(numbers=numbers, width=FLOAT, needs=False))


TECHNIQUE = Technique(
    module=__name__,
    slot="position",
    order=4,
    title="ALiBi",
    short="ALiBi",
    summary="Scores are lowered in proportion to the distance, more steeply in some heads than in others.",
    paper="Press et al. 2021, arXiv:2108.12409",
    guide=Guide(
        choose="inputs may become longer than those of the training.",
        avoid="the task looks things up far back, or the fastest fused kernel is needed.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=Options,
    requires=(
        Rule(slot="mixer", names=("attention",), reason="Only attention has scores to which a bias can be added."),
    ),
    effects=(
        Effect(quantity="parameters", sign="0", formula="0"),
        Effect(quantity="activations", sign="+", formula="heads × T × T × 4 bytes, once for all layers"),
        Effect(quantity="time", sign="+", formula="kernels that know only the causal mask do not fit"),
    ),
    claims=(TellsOrder(),),
)
