"""What a `Tape` is made of: tensors and parameters by their sizes, operations, and what slots give to each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfx_engine.techniques.tape import Tape

FLOAT = 4  # bytes of a float32
INDEX = 8  # bytes of an int64


@dataclasses.dataclass(eq=False, slots=True)
class Value:
    """A tensor of `numbers` of `width` bytes each. `needs`: whether a gradient flows to it. `base`: the tensor that it
    is a part of, without memory of its own. `by_head`: in memory, each head's numbers lie in one piece. `is_given`: it
    is part of the batch, which is there in any case."""

    numbers: int
    width: int
    needs: bool = True
    base: Value | None = None
    by_head: bool = False
    is_given: bool = False

    @property
    def bytes(self) -> int:
        """That it takes."""
        return 0 if self.is_given else self.numbers * self.width

    @property
    def root(self) -> Value:
        """The tensor that has the memory."""
        return self if self.base is None else self.base.root


@dataclasses.dataclass(frozen=True)
class Weight:
    """A trained parameter: the same `key`, the same parameter."""

    key: tuple[Any, ...]
    shape: tuple[int, ...]
    width: int
    is_hidden: bool = False  # within a block

    @property
    def numbers(self) -> int:
        """In all."""
        total = 1
        for side in self.shape:
            total *= side
        return total


@dataclasses.dataclass(eq=False, slots=True)
class Op:
    """One operation. `saves`: tensors that wait for its backward pass. `scratch`, `back`: bytes that it needs beside
    its result, and beside its gradients. To the first `passes` inputs it hands its gradient on as it is, as a sum does.
    `inside`: operations that run again in the backward pass; of their results only those of operators that `keeps` are
    kept."""

    inputs: tuple[Value, ...]
    out: Value
    saves: tuple[Value, ...] = ()
    weights: tuple[Weight, ...] = ()
    scratch: int = 0
    back: int = 0
    passes: int = 0
    operator: str = ""
    inside: tuple[Op, ...] = ()
    keeps: Callable[[str], bool] | None = None

    @property
    def needs(self) -> bool:
        """Whether it has a backward pass."""
        return self.out.needs


@dataclasses.dataclass(frozen=True)
class Attending:
    """What acts on the scores: a written bias, the causal mask by itself, a soft cap; `heads` of the queries."""

    heads: int
    key_heads: int
    key_width: int
    value_width: int
    bias: Value | None = None
    is_causal: bool = False
    is_capped: bool = False
    keys: int = 0  # how many keys a query sees; 0: as many as there are tokens


@dataclasses.dataclass(frozen=True)
class Places:
    """What positions make: their sum with the stream, turned queries and keys, what they add to the scores."""

    add: Callable[[Tape, Value], Value] = lambda tape, x: x
    rotate: Callable[[Tape, Value, Value], tuple[Value, Value]] = lambda tape, q, k: (q, k)
    bias: Callable[[Tape], Value | None] = lambda tape: None


@dataclasses.dataclass(frozen=True)
class Streams:
    """What a residual makes: the stream, a branch's way into it, and what leaves it."""

    join: Callable[[Tape, Value, Callable[[Value], Value], float], Value]
    enter: Callable[[Tape, Value], Value] = lambda tape, x: x
    leave: Callable[[Tape, Value], Value] = lambda tape, stream: stream


@dataclasses.dataclass(frozen=True)
class Widths:
    """Bytes of a number: of weights, and of what matrix products are cast to."""

    weights: int = FLOAT
    products: int | None = None  # None: no casting


RESULT = Value(0, 0)  # among what an operation saves: its own result
SHARED = ("embedding", "table")  # the key of the table that embedding and head share
