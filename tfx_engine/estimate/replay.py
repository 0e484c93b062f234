"""A step without numbers: the operations of a tape run forwards and backwards, and bytes added up by category.

It does what autograd does: a saved tensor lives until the backward pass of the operation that saved it, a gradient from
when it is made until it is used, and the gradient of a parameter until the weights have moved.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence, Set

from tfx_engine.protocol.metrics import CATEGORIES
from tfx_engine.techniques.tape import Op, Value, Weight

KEPT, PASSING, GRADIENTS = (CATEGORIES.index(name) for name in ("activations", "temporary", "gradients"))
_PRODUCTS = ("mm", "addmm", "bmm")
Bytes = list[int]  # by category, in the order of CATEGORIES


@dataclasses.dataclass(slots=True)
class Highest:
    """Of one part of a step: the highest total, its composition, and each category's own highest."""

    total: float
    at_peak: list[float]
    own: list[float]


class Account:
    """Bytes in use now, and the highest moments of each part of the step."""

    def __init__(self, resting: Mapping[str, int], rounding: int = 1) -> None:
        self.now: Bytes = [resting.get(name, 0) for name in CATEGORIES]
        self.parts: dict[str, Highest] = {}
        self._total = sum(self.now)
        self._rounding = rounding
        self._part = self.begin("rest")

    def begin(self, part: str) -> Highest:
        """What comes now belongs to that part."""
        self._part = self.parts.setdefault(part, Highest(self._total, list(self.now), list(self.now)))
        return self._part

    def take(self, size: int, category: int) -> None:
        """Allocate."""
        if self._rounding > 1:
            size = -(-size // self._rounding) * self._rounding
        part, now = self._part, self.now[category] + size
        self.now[category] = now
        self._total += size
        if now > part.own[category]:
            part.own[category] = now
        if self._total > part.total:
            part.total, part.at_peak = self._total, list(self.now)

    def give(self, size: int, category: int) -> None:
        """Free."""
        if self._rounding > 1:
            size = -(-size // self._rounding) * self._rounding
        self.now[category] -= size
        self._total -= size


class _Gradient:
    """A gradient's memory, which several tensors may share for a while. `takes_more`: another can be added in place;
    not so to one that a matrix product made, of which torch holds a view."""

    __slots__ = ("size", "takes_more", "users")

    def __init__(self, size: int, takes_more: bool = True) -> None:
        self.size, self.takes_more, self.users = size, takes_more, 1


class Replay:
    """Runs tapes against an account. `move`: bytes that moving one weight takes, where weights move in the backward
    pass and their gradients go at once. `is_later`: gradients are there already, from an earlier piece of the batch.
    `packs`: what becomes of a saved tensor that waits elsewhere: bytes of a copy that it leaves here, or None."""

    def __init__(
        self, account: Account, move: Callable[[Weight], int] | None = None, is_later: bool = False,
        packs: Callable[[Value], int | None] | None = None,
    ) -> None:
        self.account = account
        self._move, self._is_later, self._packs = move, is_later, packs
        self._alive: dict[Value, tuple[int, int]] = {}  # bytes and category
        self._saved: dict[Value, int] = {}
        self._copies: dict[tuple[int, int], int] = {}  # (operation, which of its saves) -> bytes of a copy
        self._gradients: dict[Value, _Gradient] = {}
        self._there: set[tuple[object, ...]] = set()

    # ------------------------------------------------------------------------------------------ forwards

    def forward(self, ops: Sequence[Op], lasting: frozenset[Value], blocks: Sequence[int]) -> None:
        """Everything in order. `lasting`: values that are still needed when it is over; `blocks`: where each begins,
        and where they end."""
        kept = {x.root for op in ops for x in op.saves} | lasting
        self.account.begin("forward")
        self._run(ops, kept, lasting, True, blocks[-1])

    def _run(
        self, ops: Sequence[Op], kept: Set[Value], lasting: frozenset[Value], saving: bool, loss_at: int = -1
    ) -> None:
        last, made = _last_uses(ops), {op.out.root for op in ops}
        for i, op in enumerate(ops):
            if i == loss_at:
                self.account.begin("loss")
            if op.inside and saving:
                self._run(op.inside, *self._inside(op), False)
            elif not op.inside or saving:
                self._one(op, kept)
            if saving:
                self._save(op)
            for x in (*op.inputs, op.out):
                x = x if x.base is None else x.root
                if last[x] == i and x in made and not self._saved.get(x) and x not in lasting:
                    self._free(x)

    def _one(self, op: Op, kept: Set[Value]) -> None:
        if op.scratch:
            self.account.take(op.scratch, PASSING)
        if op.out.base is None and op.out not in self._alive:
            self._allocate(op.out, KEPT if op.out in kept else PASSING)
        if op.scratch:
            self.account.give(op.scratch, PASSING)

    def _save(self, op: Op) -> None:
        for number, x in enumerate(op.saves):
            x = x if x.base is None else x.root
            size = self._packs(x) if self._packs is not None else None
            if size is not None:
                self._copies[id(op), number] = size
                self.account.take(size, KEPT)
                continue
            if x not in self._alive:
                self._allocate(x, KEPT)
            self._saved[x] = self._saved.get(x, 0) + 1

    def _inside(self, op: Op) -> tuple[set[Value], frozenset[Value]]:
        """What is kept of a block that will run again, and what outlives its first run: its result is among them."""
        kept = {x.out for x in op.inside if op.keeps is not None and op.keeps(x.operator)} | {op.out.root}
        return kept, frozenset(kept)

    # ------------------------------------------------------------------------------------------ backwards

    def backward(self, ops: Sequence[Op], first: Value, blocks: Sequence[int], stretches: Sequence[int]) -> None:
        """Everything in reverse, from the gradient of `first` on.

        `stretches`: how many blocks in a row are alike. Along half of a stretch the memory goes up or down evenly.
        """
        self._gradients[first] = _Gradient(first.bytes)
        self.account.take(first.bytes, PASSING)
        parts, at = [("embedding", 0)], 0
        for i, number in enumerate(stretches):
            parts += [(f"lower half {i}", blocks[at]), (f"upper half {i}", blocks[at + (number + 1) // 2])]
            at += number
        end = len(ops)
        for part, begin in reversed([*parts, ("loss", blocks[-1])]):
            self.account.begin(part)
            self._reverse(ops[begin:end])
            end = begin

    def _reverse(self, ops: Sequence[Op]) -> None:
        for op in reversed(ops):
            gradient = self._gradients.pop(op.out, None)
            if op.inside and gradient is not None:
                self._again(op, gradient)
            elif gradient is not None and op.needs:
                self._back(op, gradient)
            self._release(op)
            if gradient is not None and not op.inside:
                self._drop(gradient)

    def _again(self, op: Op, gradient: _Gradient) -> None:
        """Run a block once more, now saving, then backwards."""
        inside = list(op.inside)
        needed = max((i for i, x in enumerate(inside) if x.saves), default=-1)  # torch stops after the last that saves
        again = inside[: needed + 1]
        kept = {x.root for x_op in again for x in x_op.saves}
        self._run(again, kept, frozenset(), True)
        for x_op in inside[needed + 1 :]:
            self._save(x_op)
        self._gradients[op.out] = gradient
        self._reverse(inside)
        for x in inside:
            self._free(x.out.root)

    def _back(self, op: Op, gradient: _Gradient) -> None:
        wanted = list(dict.fromkeys(x for x in op.inputs if x.needs))
        made: list[tuple[Value, _Gradient]] = []
        for x in wanted:
            if x in op.inputs[: op.passes] or (x.base is None and op.out.base is x and x.numbers == op.out.numbers):
                gradient.users += 1
                made.append((x, gradient))
            else:
                self.account.take(x.bytes, PASSING)
                made.append((x, _Gradient(x.bytes, op.operator not in _PRODUCTS)))
        if op.back:
            self.account.take(op.back, PASSING)
        for weight in op.weights:
            self._weigh(weight)
        if op.back:
            self.account.give(op.back, PASSING)
        for x, own in made:
            self._deliver(x, own)

    def _weigh(self, weight: Weight) -> None:
        size = weight.numbers * weight.width
        is_there = self._is_later or weight.key in self._there
        self.account.take(size, PASSING if is_there else GRADIENTS)
        if self._move is not None:
            self.account.take(self._move(weight), PASSING)
            self.account.give(self._move(weight), PASSING)
            self.account.give(size, PASSING if is_there else GRADIENTS)
        elif is_there:
            self.account.give(size, PASSING)
        else:
            self._there.add(weight.key)

    def _deliver(self, x: Value, new: _Gradient) -> None:
        old = self._gradients.get(x)
        if old is None:
            self._gradients[x] = new
        elif old.users == 1 and old.takes_more:
            self._drop(new)
        else:
            self.account.take(x.bytes, PASSING)
            self._gradients[x] = _Gradient(x.bytes)
            self._drop(old)
            self._drop(new)

    def _drop(self, gradient: _Gradient) -> None:
        gradient.users -= 1
        if not gradient.users:
            self.account.give(gradient.size, PASSING)

    def _release(self, op: Op) -> None:
        for number, x in enumerate(op.saves):
            x = x if x.base is None else x.root
            size = self._copies.pop((id(op), number), None) if self._copies else None
            if size is not None:
                self.account.give(size, KEPT)
                continue
            left = self._saved.get(x, 0) - 1
            self._saved[x] = left
            if left <= 0:
                self._free(x)

    def _allocate(self, x: Value, category: int) -> None:
        self._alive[x] = x.bytes, category
        self.account.take(x.bytes, category)

    def _free(self, x: Value) -> None:
        found = self._alive.pop(x, None)
        if found is not None:
            self.account.give(*found)


def _last_uses(ops: Sequence[Op]) -> dict[Value, int]:
    last: dict[Value, int] = {}
    for i, op in enumerate(ops):
        for x in (*op.inputs, op.out):
            last[x if x.base is None else x.root] = i
    return last
