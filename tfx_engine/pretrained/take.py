"""How one of our tensors is cut out of theirs: a name, and steps that move numbers without computing with them.

Shapes of a linear layer's weight: [outputs, inputs]; GPT-2 stores [inputs, outputs].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[Any]
Step = Callable[[Numbers], Numbers]


@dataclasses.dataclass(frozen=True)
class Take:
    """Our tensor is theirs after the steps; of several of theirs, stacked along a new first axis after them."""

    theirs: tuple[str, ...]
    steps: tuple[Step, ...] = ()

    def __call__(self, find: Callable[[str], Numbers]) -> Numbers:
        """The numbers, which may be a view. Raises ValueError where a shape does not allow a step."""
        found = []
        for name in self.theirs:
            numbers = find(name)
            for step in self.steps:
                numbers = step(numbers)
            found.append(numbers)
        return found[0] if len(found) == 1 else np.stack(found)


Taken = tuple[str, Take]  # our name, and where its numbers come from


def same(ours: str, theirs: str, *steps: Step) -> Taken:
    """One tensor."""
    return ours, Take((theirs,), steps)


def layer(ours: str, theirs: str, bias: bool, *steps: Step, bias_steps: Iterable[Step] = ()) -> Iterator[Taken]:
    """A weight, and its bias where there is one. `steps` are for the weight alone."""
    yield same(f"{ours}.weight", f"{theirs}.weight", *steps)
    if bias:
        yield same(f"{ours}.bias", f"{theirs}.bias", *bias_steps)


def fused(ours: str, theirs: str, bias: bool, cuts: Iterable[tuple[str, Step]], *steps: Step) -> Iterator[Taken]:
    """Several of our layers cut out of one of theirs; `steps` come before the cut, on the weight alone."""
    for name, cut in cuts:
        yield from layer(f"{ours}.{name}", theirs, bias, *steps, cut, bias_steps=[cut])


def turned(numbers: Numbers) -> Numbers:
    """[inputs, outputs] as [outputs, inputs]."""
    return numbers.T


def flat(numbers: Numbers) -> Numbers:
    """All axes but the first as one."""
    return numbers.reshape(len(numbers), -1)


def whole(numbers: Numbers) -> Numbers:
    """All axes as one."""
    return numbers.reshape(-1)


def first(numbers: Numbers) -> Numbers:
    """The first, and only, of the first axis."""
    if len(numbers) != 1:
        raise ValueError(f"there are {len(numbers)} of it where one is needed")
    return numbers.reshape(numbers.shape[1:])


def part(index: int, of: int) -> Step:
    """One of equal parts, one after the other along the first axis."""

    def step(numbers: Numbers) -> Numbers:
        if len(numbers) % of:
            raise ValueError(f"{len(numbers)} rows cannot be cut into {of} equal parts")
        size = len(numbers) // of
        return numbers[index * size : (index + 1) * size]

    return step


def rows(begin: int, end: int | None) -> Step:
    """Some of the first axis."""

    def step(numbers: Numbers) -> Numbers:
        if len(numbers) < (begin if end is None else end):
            raise ValueError(f"there are only {len(numbers)} rows where {end or begin} are needed")
        return numbers[begin:end]

    return step


def woven(first: int, count: int, of: int, groups: int) -> Step:
    """From rows in `groups` groups of `of` heads each, the heads from `first` on, `count` of them, of every group."""

    def step(numbers: Numbers) -> Numbers:
        if len(numbers) % (groups * of):
            raise ValueError(f"{len(numbers)} rows cannot be cut into {groups} groups of {of} heads")
        rest = numbers.shape[1:]
        return numbers.reshape(groups, of, -1, *rest)[:, first : first + count].reshape(-1, *rest)

    return step


def woven_rows(begin: int, count: int, groups: int) -> Step:
    """From rows in `groups` equal groups, `count` rows of every group from `begin` on."""

    def step(numbers: Numbers) -> Numbers:
        if len(numbers) % groups or len(numbers) // groups < begin + count:
            raise ValueError(f"{len(numbers)} rows are not {groups} groups of at least {begin + count}")
        rest = numbers.shape[1:]
        return numbers.reshape(groups, -1, *rest)[:, begin : begin + count].reshape(-1, *rest)

    return step


def paired(heads: int) -> Step:
    """From the rows of heads 0, 1, ... those of 0, H / 2, 1, H / 2 + 1, ..."""

    def step(numbers: Numbers) -> Numbers:
        if len(numbers) % heads or heads % 2:
            raise ValueError(f"{len(numbers)} rows cannot be cut into pairs of {heads} heads")
        rest = numbers.shape[1:]
        return numbers.reshape(2, heads // 2, -1, *rest).swapaxes(0, 1).reshape(-1, *rest)

    return step


QUERY_KEY_VALUE = ("query", "key", "value")
THIRDS = tuple((name, part(i, 3)) for i, name in enumerate(QUERY_KEY_VALUE))
