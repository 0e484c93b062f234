"""What repeats itself in a step, and how little of it must be run to know the rest.

Blocks, experts, tokens of a recurrent layer: one more of them adds the same allocations, frees and operators to the
step, each at its place. So the step is run with few of them and with one period more; what the second adds is
repeated. Along several axes at once this is done for one after the other.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

STEPS = "steps"  # of a recurrent layer

Point = Mapping[str, int]  # how much is run, by axis
T = TypeVar("T")


class NotAlike(Exception):
    """What was run with more is not what was run with less, and something added. `axis`: along which."""

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
    axes: Sequence[Axis], run: Callable[[Point], T], repeat: Callable[[T, T, int], T | None], point: Point
) -> T:
    """What `run` gives at few points, extended along all axes. `point`: where nothing is left to choose.

    `repeat(few, many, times)`: few, and `times` times what many has more; None where they are not alike: then this
    raises `NotAlike`.
    """
    if not axes:
        return run(point)
    outer, *inner = axes
    few, many = (extended(inner, run, repeat, {**point, outer.name: n}) for n in (outer.few, outer.many))
    found = repeat(few, many, outer.times)
    if found is None:
        raise NotAlike(outer.name)
    return found
