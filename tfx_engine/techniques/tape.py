"""What one training step makes and keeps, tensor by tensor, from sizes alone: for predicting its memory.

A technique's `memory` says what its forward pass does, operation by operation: which tensors are made, of how many
numbers, and which of them wait for the backward pass. It does so on a `Tape`, whose operations know what torch's own
save. `estimate/replay.py` then runs the tape forwards and backwards and adds up bytes. Nothing is allocated.

A view is the tensor that it looks into. A tensor is freed after its last use unless it was saved, as Python does it.
x is what `build`'s module would get, [B, T, D]; `memory` gets the tape, the options, and:

| slot | more arguments -> result |
| --- | --- |
| embedding | -> x |
| position | -> Places |
| residual | -> Streams |
| placement | stream -> stream, by `tape.streams.join` and `tape.use` |
| norm, mixer, attention, feedforward | x -> x |
| qk_norm | q, k -> q, k |
| kernel | q, k, v, Attending -> what attention reads |
| softcap | scores -> scores |
| sink | -> its trained parameters |
| gate | x, y -> y |
| head | x, nats -> loss: it calls `nats(project, x)`, which gives a loss, for each of its predictions |
| loss | x -> loss, by `tape.use("head", x, nats)` |
| recompute | number of a block -> None, or (name of an operator -> whether its results are kept) |
| adapter | linear, x -> what the adapted layer gives |

Without a tape: precision `(options, config) -> Widths`, optimizer `(options, weights) -> (bytes of state, bytes used up
in moving)`, update `(options, optimizer, its options) -> None or (weight -> bytes used up in moving it)`, offload
`(options, kind of device) -> (tensor -> bytes of the copy that it leaves on the device, or None where it stays)`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from tfx_engine.protocol.config import Config
from tfx_engine.techniques.costs import OUTSIDE, Linear, Work
from tfx_engine.techniques.tensors import (
    FLOAT,
    INDEX,
    RESULT,
    SHARED,
    Attending,
    Op,
    Places,
    Streams,
    Value,
    Weight,
    Widths,
)
from tfx_engine.techniques.undeclared import MEMORY

if TYPE_CHECKING:
    from tfx_engine.techniques.technique import Technique

__all__ = [
    "FLOAT", "INDEX", "RESULT", "SHARED", "Attending", "Op", "Places", "Streams", "Tape", "Value", "Weight", "Widths",
]


class Tape:
    """The operations of one pass through the model and the loss, for `batch` samples."""

    def __init__(self, config: Config, device: str, batch: int, widths: Widths) -> None:
        self.config, self.device, self.batch, self.widths = config, device, batch, widths
        self.ops: list[Op] = []
        self.layer = OUTSIDE
        self.slot = ""
        self.work = Work()
        self.shared: dict[Any, Any] = {}  # what all layers of a pass share, such as a written mask
        self.chosen: dict[str, tuple[Technique, Any]] = {}
        self._works: dict[tuple[str, int], Work] = {}
        self._declared: dict[str, Work] = {}
        from tfx_engine.techniques.counts import chosen

        for technique, options in chosen(config):
            self.chosen[technique.slot] = technique, options
        self._adapter, self._adapter_options = self.chosen["adapter"]

    # ------------------------------------------------------------------------------------------ sizes

    @property
    def tokens(self) -> int:
        """Of the batch: B times T."""
        return self.batch * self.config.model.context

    @property
    def context(self) -> int:
        """Tokens of a sample, T."""
        return self.config.model.context

    @property
    def kernel_width(self) -> int:
        """Bytes of a number in what attention multiplies."""
        return self.widths.products or self.widths.weights

    @functools.cached_property
    def places(self) -> Places:
        """What positions make."""
        found: Places = self.use("position")
        return found

    @functools.cached_property
    def streams(self) -> Streams:
        """What the residual makes."""
        found: Streams = self.use("residual")
        return found

    @functools.cached_property
    def has_final_norm(self) -> bool:
        """Whether a norm follows the last block."""
        technique, options = self.chosen["placement"]
        return bool(technique.build(options, self.config).final_norm)

    # ------------------------------------------------------------------------------------------ techniques

    def options(self, slot: str) -> Any:
        """The options of the technique in a slot; None where the slot takes no part."""
        return self.chosen[slot][1] if slot in self.chosen else None

    def use(self, slot: str, *given: Any) -> Any:
        """What the technique of a slot makes of these tensors."""
        technique, options = self.chosen[slot]
        before = self.slot, self.work
        self.slot, self.work = slot, self.work_of(slot)
        try:
            return technique.memory(self, options, *given) if technique.memory else MEMORY[slot](self, *given)
        finally:
            self.slot, self.work = before

    def work_of(self, slot: str) -> Work:
        """The linear layers of a slot in this layer, with what an adapter makes of them."""
        key = slot, self.layer
        if key not in self._works:
            if slot not in self._declared:
                technique, options = self.chosen[slot]
                self._declared[slot] = dataclasses.replace(technique.work(options, self.config), slot=slot)
            self._works[key] = self._adapter.adapts(
                self._adapter_options, self.config, self.layer, self._declared[slot])
        return self._works[key]

    def is_trained(self, slot: str | None = None) -> bool:
        """Whether what a slot has beside its linear layers is trained in this layer."""
        return not self._adapter.freezes or self.work_of(slot or self.slot).tuned

    def parameter(self, name: str, *shape: int, key: tuple[Any, ...] | None = None) -> tuple[Weight, ...]:
        """A parameter of the slot beside its linear layers: itself, or nothing where it is frozen."""
        if not self.is_trained():
            return ()
        key = key or (self.slot, self.layer, name, len(self.ops))
        return (Weight(key, shape, self.widths.weights, self.layer != OUTSIDE),)

    # ------------------------------------------------------------------------------------------ operations

    def make(
        self, *inputs: Value, numbers: int | None = None, width: int | None = None, saves: Iterable[Value] = (),
        extra: int = 0, weights: tuple[Weight, ...] = (), needs: bool | None = None, **more: Any,
    ) -> Value:
        """A new tensor from others, as large as the first of them unless it is said. `extra`: bytes that are saved
        beside `saves`, such as the statistics of a norm."""
        first = inputs[0] if inputs else None
        numbers = numbers if numbers is not None else first.numbers if first else 0
        width = width if width is not None else max(x.width for x in inputs)
        needs = bool(weights) or any(x.needs for x in inputs) if needs is None else needs
        out = Value(numbers, width, needs, by_head=first is not None and first.by_head and first.numbers == numbers)
        saved = [out if x is RESULT else x for x in saves]
        if extra:
            saved.append(Value(extra, 1, False))
        self.ops.append(Op(inputs, out, tuple(saved) if needs else (), weights if needs else (), **more))
        return out

    def part(self, x: Value, numbers: int) -> Value:
        """A part of a tensor, without memory of its own; its gradient is as large as the whole."""
        out = Value(numbers, x.width, x.needs, base=x)
        self.ops.append(Op((x,), out))
        return out

    def again(self, write: Callable[[], Value], keeps: Callable[[str], bool] = lambda operator: False) -> Value:
        """What `write` writes as one operation that keeps its inputs, and runs again in the backward pass.

        `keeps`: of which operators the results are kept.
        """
        begin = len(self.ops)
        out = write()
        inside = tuple(self.ops[begin:])
        del self.ops[begin:]
        made = {op.out.root for op in inside}
        given = tuple(dict.fromkeys(x.root for op in inside for x in op.inputs if x.root not in made))
        self.ops.append(Op(given, out, saves=given if out.needs else (), inside=inside, keeps=keeps))
        return out

    def cast(self, x: Value, width: int) -> Value:
        """The same numbers in another format; the same tensor where it has it already."""
        return x if x.width == width else self.make(x, width=width)

    def add(self, a: Value, b: Value) -> Value:
        """A sum of tensors; saves nothing, and a gradient of the same format goes on as it is."""
        is_same = a.width == b.width and a.numbers == b.numbers
        return self.make(a, b, numbers=max(a.numbers, b.numbers), passes=2 if is_same else 0)

    def copy(self, x: Value) -> Value:
        """The same numbers in another order of memory."""
        out = self.make(x)
        out.by_head = False
        return out

    def headed(self, x: Value) -> Value:
        """The same tensor, known to lie head by head."""
        x.by_head = True
        return x

    def joined(self, x: Value) -> Value:
        """The heads side by side again, for which they are copied where they lay apart."""
        return self.copy(x) if x.by_head else x

    def scaled(self, x: Value) -> Value:
        """A tensor times a number that is not trained."""
        return self.make(x)

    def times(self, a: Value, b: Value) -> Value:
        """A product number by number: each factor waits for the other's gradient."""
        saves = [*((b,) if a.needs else ()), *((a,) if b.needs else ())]
        return self.make(a, b, numbers=max(a.numbers, b.numbers), saves=saves)

    def by_weight(self, x: Value, weights: tuple[Weight, ...]) -> Value:
        """A tensor times a vector of parameters, which are trained where they are given."""
        return self.make(x, saves=(x,) if weights else (), weights=weights, back=x.bytes if weights else 0)

    def bent(self, x: Value, of_result: bool = False, back: int = 0) -> Value:
        """A function of each number, whose backward pass needs its argument, or its result; and `back` tensors more."""
        return self.make(x, saves=(RESULT if of_result else x,), back=back * x.bytes)

    def matmul(self, a: Value, b: Value, numbers: int, operator: str = "bmm") -> Value:
        """A product of two tensors."""
        if self.widths.products:
            a, b = self.cast(a, self.widths.products), self.cast(b, self.widths.products)
        saves = [*((b,) if a.needs else ()), *((a,) if b.needs else ())]
        return self.make(a, b, numbers=numbers, saves=saves, operator=operator)

    def dropout(self, x: Value, probability: float) -> Value:
        """Dropout in training: the CPU keeps what it multiplies by, other devices a byte for each number."""
        if not probability:
            return x
        if self.device != "cpu":
            return self.make(x, extra=x.numbers)
        return self.make(x, extra=x.bytes, scratch=0)

    def linear(self, name: str, x: Value) -> Value:
        """A linear layer of the slot's declared work, with what an adapter puts beside it."""
        linear = next(found for found in self.work.linears if found.name == name)
        if self._adapter.memory is None:
            return self.plain_linear(linear, x)
        linear = dataclasses.replace(linear, tuned=False)  # it says itself what it trains beside the weights
        return self._adapter.memory(self, self._adapter_options, linear, x)

    def plain_linear(self, linear: Linear, x: Value, bias: bool | None = None, rows: int | None = None) -> Value:
        """A linear layer by itself; `rows` where not all that `x` holds passes through it."""
        bias = linear.bias if bias is None else bias
        weights = self.linear_weights(linear, bias)
        x, low, extra = self.for_product(x, linear, bool(weights))
        numbers = (x.numbers // linear.inputs if rows is None else rows) * linear.outputs
        saves = [*((x,) if linear.trained else ()), *((low,) if low is not None and x.needs else ())]
        operator = "addmm" if bias else "mm"
        return self.make(x, numbers=numbers, saves=saves, weights=weights, scratch=extra, operator=operator,
                         back=low.bytes if low is not None and linear.trained else 0)

    def linear_weights(self, linear: Linear, bias: bool) -> tuple[Weight, ...]:
        """Its trained parameters, those of all copies as one."""
        key: tuple[Any, ...] = (self.slot, self.layer, linear.name, 0)
        if linear.shared:
            key = SHARED
        hidden, width, rows = self.layer != OUTSIDE, self.widths.weights, linear.copies * linear.outputs
        matrix = (Weight(key, (rows, linear.inputs), width, hidden),) if linear.trained else ()
        has_bias = bias and (linear.trained or linear.tuned)
        return (*matrix, *((Weight((*key, "bias"), (rows,), width, hidden),) if has_bias else ()))

    def for_product(self, x: Value, linear: Linear, trained: bool) -> tuple[Value, Value | None, int]:
        """What goes into a product under autocast: the cast input, the cast weights, and bytes used up in casting."""
        low = self.widths.products
        if low is None or low == self.widths.weights:
            return x, None, 0
        copies = Value(linear.weights, low, False)
        return self.cast(x, low), copies, 0 if x.needs else copies.bytes
