"""LSTM: a recurrent layer with a memory that gates write to and erase, in the place of attention.

What it is: what language models were made of before the transformer. It reads token after token and carries a state h
and a memory c of the model's width. Three gates, computed from the token and the state, say what is forgotten, what is
written and what is shown. Since the memory passes from token to token by a mere product and a sum, gradients survive
many tokens. It sits where attention would, with an output projection behind it; the rest of the block stays.

Formula, for each token, σ being the logistic function:
    i, f, g, o = W x + U h + b        c = σ(f) ⊙ c + σ(i) ⊙ tanh(g)        h = σ(o) ⊙ tanh(c)        y = W_o h

It knows the order of the tokens by itself, sees the past only, and needs as much memory for a text of any length. What
lies a thousand tokens back it must have carried through a thousand steps, where attention looks straight at it: tasks
that ask for recall show the difference best.

What it costs, per block: 8 · d² parameters for the gates and d² for the projection, biases 9 · d; twice as many FLOPs
per token, nothing grows with the context. The T steps must wait for one another: their number in a row is T, where
attention's is one. That is what "transformers are parallel" means. As time it shows on GPUs; on a CPU torch's fused
layer may well be as fast as attention. The bias of the forget gate begins at 1, so that nothing is forgotten at first.

When to choose it: as the baseline against which attention is to be measured. When not: otherwise. What is chosen in
attention, its window, norms, sinks, gate and kernel, does nothing then.

Paper: Hochreiter, Schmidhuber, "Long Short-Term Memory" (1997), Neural Computation 9(8); forget gate: Gers and others
(2000).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Effect, Guide
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques import mixer
from tfx_engine.techniques.assumptions import assumed
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.costs import bias_of
from tfx_engine.techniques.devices import device_kind
from tfx_engine.techniques.mixer import (
    CAUSAL,
    Recurrent,
    RecurrentOptions,
    begin_at_zero,
    recurrent_memory,
    work,
)
from tfx_engine.techniques.tape import FLOAT, Tape, Value
from tfx_engine.techniques.technique import Technique

_LINE, _PAGE = 64, 4096  # bytes, in which oneDNN counts


class LstmCell(nn.LSTM):
    """Torch's layer, with a beginning of its own for the biases."""

    def forward(self, x_BTD: Tensor, hx: Any = None) -> Any:
        """Torch's."""
        if assumed.lstm is not None:
            return assumed.lstm(self, x_BTD)
        return super().forward(x_BTD, hx)

    def initialise_parameter(self, name: str, parameter: Tensor, generator: torch.Generator) -> bool:
        """Biases 0, but for the forget gate: it begins open. Matrices as the slot `init` says."""
        found = begin_at_zero(name, parameter)
        if name == "bias_ih_l0":
            parameter[self.hidden_size : 2 * self.hidden_size] = 1.0
        return found


def check(options: RecurrentOptions, config: Config) -> Iterator[Problem]:
    """Say what does nothing here, and refuse a number format for which torch's layer is not made."""
    yield from mixer.check(options, config)
    if device_kind(config) == "cpu" and not _runs(config):
        yield Problem(
            code="not-on-this-device", path="techniques.precision.use", args={"precision": config.use("precision")},
            template="is {precision!r}, in which torch has no LSTM on this CPU.",
            hint_template="Choose float32 or bfloat16_autocast, or 'gru' in mixer.",
        )


def _runs(config: Config) -> bool:
    """Whether a layer runs on this CPU in the configuration's precision: its fused form knows what the CPU can do."""
    from tfx_engine.techniques.catalogue import technique_for  # which loads the techniques, and they this

    technique, chosen = technique_for("precision", config.techniques["precision"])
    precision = technique.build(chosen, config)
    try:
        with precision.context("cpu"):
            nn.LSTM(2, 2, dtype=precision.dtype)(torch.zeros(1, 1, 2, dtype=precision.dtype))
    except RuntimeError:
        return False
    return True


def build(options: RecurrentOptions, config: Config, make_attention: Callable[[], nn.Module]) -> nn.Module:
    """A layer of the model's width."""
    width, bias = config.model.width, bias_of(options.bias, config)
    return Recurrent(LstmCell(width, width, bias=bias, batch_first=True), width, bias)


def reference(module: Recurrent, x_BTD: Tensor, context: AttentionContext) -> Tensor:
    """Token by token."""
    cell = module.cell
    h_BD = c_BD = x_BTD.new_zeros(x_BTD.shape[0], cell.hidden_size)
    states = []
    for x_BD in x_BTD.unbind(dim=1):
        z = x_BD @ cell.weight_ih_l0.T + h_BD @ cell.weight_hh_l0.T
        if cell.bias:
            z = z + cell.bias_ih_l0 + cell.bias_hh_l0
        i, f, g, o = z.chunk(4, dim=-1)
        c_BD = f.sigmoid() * c_BD + i.sigmoid() * g.tanh()
        h_BD = o.sigmoid() * c_BD.tanh()
        states.append(module.output(h_BD))
    return torch.stack(states, dim=1)


def memory(tape: Tape, options: RecurrentOptions, x: Value) -> Value:
    """Beside its input, what oneDNN keeps waits for the backward pass; elsewhere about 12 numbers for each."""
    if tape.device != "cpu":
        return recurrent_memory(tape, x, 12 * x.bytes)
    states, width = tape.config.model.width, tape.widths.products or tape.widths.weights
    ends = 4 * tape.batch * states * width  # state and memory, before the first token and after the last
    kept = ends + _workspace(tape.batch, tape.context, states, width)
    return recurrent_memory(tape, x, kept, copied=x.numbers * width)


def _workspace(batch: int, context: int, states: int, width: int) -> int:
    """Bytes that oneDNN keeps of a layer, in numbers of `width` bytes (`src/common/rnn/rnn_utils.cpp`).

    Gates, states and their gradients of every token, most of them in rows of whole cache lines, in whole pages.
    """
    def row(numbers: int, width: int) -> int:
        line = _LINE // width
        rounded = -(-numbers // line) * line
        return (rounded + line * (rounded % 256 == 0)) * width

    def pages(size: int) -> int:
        return -(-size // _PAGE) * _PAGE

    tokens, moments = batch * context, 2 * batch * (context + 1)  # those of the state before the first token too
    gates = pages(tokens * row(4 * states, width)) + pages(tokens * row(states, width))
    kept = pages(moments * row(states, width)) + pages(moments * states * width)
    back = 2 * pages(moments * row(states, FLOAT)) + pages(moments * states * FLOAT)
    return gates + kept + back


TECHNIQUE = Technique(
    module=__name__,
    slot="mixer",
    order=1,
    title="LSTM",
    short="LSTM",
    summary="A recurrent layer with a memory that gates write to and erase, in the place of attention.",
    paper="Hochreiter & Schmidhuber 1997",
    guide=Guide(
        choose="you want to see what attention is better at than what came before it.",
        avoid="you build a transformer.",
    ),
    build=build,
    reference=reference,
    memory=memory,
    options=RecurrentOptions,
    check=check,
    requires=(CAUSAL,),
    work=lambda options, config: work(4, options, config),
    effects=(
        Effect(quantity="parameters", sign="+", formula="layers × (9 · width² + 9 · width of biases)"),
        Effect(quantity="flops", sign="+", formula="per token and layer: 18 · width², whatever the context"),
        Effect(quantity="activations", sign="+", formula="per token and layer: gates, memory, state, about 7 · width"),
        Effect(quantity="time", sign="+", formula="as many steps in a row as there are tokens"),
    ),
)
