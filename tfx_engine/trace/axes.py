"""What repeats itself in a step, and how little of it must be run to know the rest.

Blocks, experts, tokens of a recurrent layer, pieces of the loss: one more of them adds the same allocations, frees and
operators to the step, each at its place. So the step is run with few of them and with one period more; what the second
adds is repeated. Axes of one group have nothing to do with each other, such as blocks and pieces of the loss: each adds
its own. Those of an inner group lie within those of an outer one, such as experts in blocks: what an outer one adds has
the inner ones in it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

STEPS = "steps"  # of a recurrent layer

Point = Mapping[str, int]  # how much is run, by axis
T = TypeVar("T")


def pieces_axis(whole: int) -> str:
    """The name of the axis of a loss that takes so many pieces of full size."""
    return f"{whole} pieces"


class NotAlike(Exception):
    """What was run with more is not what was run with less, and something added. `axis`: along which, by name."""

    def __init__(self, axis: str) -> None:
        super().__init__(axis)
        self.axis = axis


@dataclasses.dataclass(frozen=True)
class Axis:
    """What is run: `few` and `many` of `all` that there are. What the second adds comes `times` times."""

    name: str
    few: int
    many: int
    all: int

    @property
    def times(self) -> int:
        """How often what is between them comes on top of the few."""
        return (self.all - self.few) // (self.many - self.few)


def axis(name: str, few: int, period: int, all: int) -> Axis | None:
    """None where nothing is gained. `few` is made more, so that the rest is made of whole periods."""
    few += (all - few) % period
    return Axis(name, few, few + period, all) if few + period < all else None


def extended(
    groups: Sequence[Sequence[Axis]], run: Callable[[Point], T], repeat: Callable[[T, Sequence[tuple[Axis, T]]], T],
    point: Point,
) -> T:
    """What `run` gives at few points, extended along all axes. `point`: where nothing is left to choose.

    `groups`: the outermost first. `repeat(few, longer)`: few, and of each axis as many times as it says what its longer
    one has more; raises `NotAlike` where one does not contain the few.
    """
    if not groups:
        return run(point)
    group, *inner = groups
    point = {**point, **{a.name: a.few for a in group}}
    few = extended(inner, run, repeat, point)
    return repeat(few, [(a, extended(inner, run, repeat, {**point, a.name: a.many})) for a in group])
