"""Slot `mixer`: how tokens exchange information: by attention, or by what came before it. B batch, T tokens, D width.

`build(options, config, make_attention)` gives a module (x_BTD, context) -> x_BTD; `make_attention()` makes the
attention that the other slots describe. Here is what the recurrent ones share.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from tfx_engine.protocol.cards import Rule, load_catalogue
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.options import option
from tfx_engine.protocol.problems import Problem
from tfx_engine.techniques.aside import uncounted
from tfx_engine.techniques.context import AttentionContext
from tfx_engine.techniques.costs import Linear, Work, bias_of
from tfx_engine.techniques.counts import WITHIN_ATTENTION
from tfx_engine.techniques.tape import Tape, Value

CAUSAL = Rule(slot="mask", names=("causal",), reason="A recurrent layer reads from the past to the future only.")


@dataclasses.dataclass(frozen=True)
class RecurrentOptions:
    """What can be chosen for a recurrent layer."""

    bias: bool | None = option(
        None, kind="bool", label="biases", automatic="as the model's biases",
        help="Biases in the recurrent layer and in the output projection.",
    )


class Recurrent(nn.Module):
    """(x_BTD, context) -> x_BTD: token after token, with a state of the model's width; the context is not asked."""

    def __init__(self, cell: nn.RNNBase, width: int, bias: bool) -> None:
        super().__init__()
        self.cell = cell
        self.output = nn.Linear(width, width, bias)

    def forward(self, x_BTD: Tensor, context: AttentionContext) -> Tensor:
        """From an empty state, through all tokens."""
        return self.output(self._states(x_BTD))

    def _states(self, x_BTD: Tensor) -> Tensor:
        """Torch writes over the products in it without a word, so none of them may be kept for a second run."""
        if torch.compiler.is_compiling():
            return self.cell(x_BTD)[0]
        with uncounted():
            return self.cell(x_BTD)[0]


def check(options: RecurrentOptions, config: Config) -> Iterator[Problem]:
    """Say of every choice that acts within attention alone that it does nothing here."""
    slots = {card.name: card for card in load_catalogue().slots}
    for slot in WITHIN_ATTENTION:
        choice, card = config.techniques[slot], load_catalogue().find(slot, config.use(slot))
        default = slots[slot].default_for(config.data.task)
        changed = card is not None and any(choice.options.get(o.name) != o.default for o in card.options)
        if choice.use != default or changed:
            yield Problem(
                code="does-nothing", path=f"techniques.{slot}.use", level="warning",
                template="is {use!r} with options of its own, which act within attention: with {mixer!r} in mixer they "
                         "do nothing." if changed and choice.use == default else
                         "is {use!r}, which acts within attention: with {mixer!r} in mixer it does nothing.",
                hint_template="Leave it out, or choose 'attention' in mixer.",
                args={"use": choice.use, "mixer": config.use("mixer")},
            )


def work(gates: int, options: Any, config: Config) -> Work:
    """`gates` matrices from the input and as many from the state, then the output projection.

    Backward this is too much by one product per sample: the state before the first token needs no gradient.
    """
    d, bias = config.model.width, bias_of(options.bias, config)
    return Work((
        Linear("input", d, gates * d, bias, adaptable=False, fused=True),
        Linear("recurrent", d, gates * d, bias, source="input", adaptable=False, fused=True),
        # Its input is a transposed view, for which torch takes other operators.
        Linear("output", d, d, bias, source="recurrent", operator="mm", frozen_operator="bmm"),
    ))  # fmt: skip


def begin_at_zero(name: str, parameter: Tensor) -> bool:
    """Fill a bias of torch's recurrent layers, whose names do not end with "bias"; False for a matrix."""
    if name.startswith("bias_"):
        parameter.zero_()
    return name.startswith("bias_")


def recurrent_memory(tape: Tape, x: Value, kept: int, copied: int = 0, back: int = 0, fused: bool = True) -> Value:
    """The memory of `Recurrent`: `kept` bytes of the library's own, beside its input and, under autocast, the weights
    as they are multiplied. `copied`: bytes of the states in another order, for the layer after it; `back`: used up in
    the backward pass beside the gradients. `fused`: the input is kept also where only the states need a gradient."""
    cells = [linear for linear in tape.work.linears if linear.fused]
    weights = tuple(w for linear in cells for w in tape.linear_weights(linear, linear.bias))
    width, low = x.width, tape.widths.products or tape.widths.weights
    x = tape.cast(x, low)
    cast = sum(w.numbers for w in weights) * low if low != tape.widths.weights else 0
    saves = (x,) if fused or weights else ()
    states = tape.make(
        x, width=width, saves=saves, extra=kept + cast + copied, weights=weights, back=back or x.bytes,
    )
    return tape.linear("output", states)
