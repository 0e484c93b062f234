"""GRU: a recurrent layer with two gates and no memory beside its state, in the place of attention.

What it is: a simpler LSTM. There is one state h of the model's width. An update gate says how much of it is kept and
how much replaced, so that keeping and writing are one decision; a reset gate says how much of it is looked at when the
new content is made. It sits where attention would, with an output projection behind it; the rest of the block stays.

Formula, for each token, σ being the logistic function:
    r = σ(W_r x + U_r h + b_r)        z = σ(W_z x + U_z h + b_z)
    n = tanh(W_n x + b_n + r ⊙ (U_n h + c_n))        h = (1 - z) ⊙ n + z ⊙ h        y = W_o h

This is torch's (and cuDNN's) form, in which the reset gate falls on the product U_n h; in the paper it falls on h
before. It is nearly the same function, and the only one with a fast kernel.

What it costs, per block: 6 · d² parameters for the gates and d² for the projection, biases 7 · d: a quarter less than
LSTM for the gates. Twice as many FLOPs per token, and nothing grows with the context. The T steps must wait for one
another, which limits speed at long contexts more than FLOPs do; torch's layer for the CPU is composed of single steps
and falls behind there, other than its LSTM.

Like LSTM it knows the order of the tokens by itself, sees the past only, and must carry what it wants to know later
through every step between.

When to choose it: as a baseline for attention with fewer weights than LSTM; which of the two does better depends on the
task. When not: otherwise. What is chosen in attention, its window, norms, sinks, gate and kernel, does nothing then.

Paper: Cho and others, "Learning Phrase Representations using RNN Encoder-Decoder" (2014), arXiv:1406.1078.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.techniques.assumptions import assumed
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.costs import bias_of
from tfx_engine.techniques.mixer import (
    CAUSAL,
    Recurrent,
    RecurrentOptions,
    begin_at_zero,
    check,
    recurrent_memory,
    work,
)
from tfx_engine.techniques.tape import FLOAT, Tape, Value
from tfx_engine.techniques.technique import Technique

_BACK, _BACK_LOW = 4, 7  # numbers for each of a state that its backward pass takes, as measured


class GruCell(nn.GRU):
    """Torch's layer, whose biases begin at 0."""

    def forward(self, x_BTD: Tensor, hx: Any = None) -> Any:
        """Torch's."""
        if assumed.gru is not None:
            return assumed.gru(self, x_BTD)
        return super().forward(x_BTD, hx)

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """Matrices as the slot `init` says."""
        return begin_at_zero(name, parameter)


def build(options: RecurrentOptions, config: Config, make_attention: Callable[[], nn.Module]) -> nn.Module:
    """A layer of the model's width."""
    width, bias = config.model.width, bias_of(options.bias, config)
    return Recurrent(GruCell(width, width, bias=bias, batch_first=True), width, bias)


def reference(module: Recurrent, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """Token by token."""
    cell = module.cell
    h_BD = x_BTD.new_zeros(x_BTD.shape[0], cell.hidden_size)
    states = []
    for x_BD in x_BTD.unbind(dim=1):
        a, u = x_BD @ cell.weight_ih_l0.T, h_BD @ cell.weight_hh_l0.T
        if cell.bias:
            a, u = a + cell.bias_ih_l0, u + cell.bias_hh_l0
        (a_r, a_z, a_n), (u_r, u_z, u_n) = a.chunk(3, dim=-1), u.chunk(3, dim=-1)
        r, z = (a_r + u_r).sigmoid(), (a_z + u_z).sigmoid()
        h_BD = (1 - z) * (a_n + r * u_n).tanh() + z * h_BD
        states.append(module.output(h_BD))
    return torch.stack(states, dim=1)


def memory(tape: Tape, options: RecurrentOptions, x: Value) -> Value:
    """Beside its input, 7 numbers for each of its own wait for the backward pass, of which autocast rounds 6."""
    low = tape.widths.products or tape.widths.weights
    kept, back = x.numbers * (6 * low + x.width), (_BACK if low == FLOAT else _BACK_LOW) * x.numbers * low
    cell = next(linear for linear in tape.work.linears if linear.fused)
    if not cell.trained and low != FLOAT and tape.device == "cpu":
        # By frozen weights torch multiplies as by a batch of copies of them; by then what was kept is gone.
        back = max(back, tape.context * cell.weights * low + 3 * x.numbers * low - kept)
    return recurrent_memory(tape, x, kept, back=back, fused=False)


TECHNIQUE = Technique(
    module=__name__,
    slot="mixer",
    order=2,
    title="GRU",
    short="GRU",
    summary="A recurrent layer with two gates and no memory beside its state, in the place of attention.",
    paper="Cho et al. 2014, arXiv:1406.1078",
    guide=Guide(
        choose="you want a recurrent baseline with fewer weights than LSTM.",
        avoid="you build a transformer.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=RecurrentOptions,
    check=check,
    requires=(CAUSAL,),
    work=lambda options, config: work(3, options, config),
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × (7 · width² + 7 · width of biases)"),
        Effect(quantity="flops", sign="+", formula="per token and layer: 14 · width², whatever the context"),
        Effect(quantity="activations", sign="+", formula="per token and layer: input, gates, state, about 6 · width"),
        Effect(quantity="time", sign="+", formula="as many steps in a row as there are tokens"),
    ),
)
