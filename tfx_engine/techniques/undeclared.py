"""What a technique that says nothing of its memory is taken to do: what its slot's techniques do at least."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tfx_engine.techniques.costs import Linear
from tfx_engine.techniques.tensors import Places, Value

if TYPE_CHECKING:
    from tfx_engine.techniques.tape import Tape


def _by_work(tape: Tape, x: Value) -> Value:
    """Its linear layers, in the order in which it declares them."""
    made, last = {"stream": x}, x
    for linear in tape.work.linears:
        if not linear.beside and linear.name:
            last = made[linear.name] = tape.linear(linear.name, _fitting(made.get(linear.source, last), linear, tape))
    return last if last.numbers == x.numbers else tape.make(x)


def _fitting(x: Value, linear: Linear, tape: Tape) -> Value:
    wanted = tape.tokens * linear.inputs
    return x if x.numbers == wanted else tape.make(x, numbers=wanted)


MEMORY: dict[str, Callable[..., Any]] = {  # by slot, as a technique's own `memory` but for the options
    "norm": lambda tape, x: tape.make(x, saves=(x,), weights=tape.parameter("weight", tape.config.model.width)),
    "position": lambda tape: Places(),
    "mixer": _by_work, "attention": _by_work, "feedforward": _by_work,
    "qk_norm": lambda tape, q, k: (q, k),
    "softcap": lambda tape, scores: scores,
    "sink": lambda tape: (),
    "gate": lambda tape, x, y: y,
}
