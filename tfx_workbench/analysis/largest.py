"""The most that fits: the largest value whose peak stays within a capacity, found with few questions.

What counts as a peak is what must be free for it, with the error of the prediction: the one who answers adds that. It
grows with batch, context and layers, nearly in proportion or faster, so the next value to ask for is read off the line
through the last answers, and the interval between what fits and what does not is halved where the line leads nowhere
new.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator

MOST_QUESTIONS = 40  # two a decade are usual; a peak that does not grow must end too

Peak = Callable[[int], int | None]  # value -> bytes; None where the value is refused
Questions = Generator[int, int | None, "Largest"]  # values to ask for; their peaks are sent in


@dataclasses.dataclass(frozen=True)
class Largest:
    """`value` fits with `peak_bytes` and the next does not; where not even the smallest does `value` is None and
    `peak_bytes` what that takes.

    `is_limited`: it is not memory that ends it: greater values are refused, or `most` was reached. `growth_bytes`: of
    the peak for each 1 more, near `value`; 0 where that is not known.
    """

    value: int | None
    peak_bytes: int | None
    is_limited: bool = False
    growth_bytes: float = 0.0


def largest(peak: Peak, capacity_bytes: int, start: int, most: int, step: int = 1) -> Largest:
    """`looking`, with somebody who answers at once."""
    questions = looking(capacity_bytes, start, most, step)
    try:
        value = next(questions)
        while True:
            value = questions.send(peak(value))
    except StopIteration as end:
        found: Largest = end.value
        return found


def looking(capacity_bytes: int, start: int, most: int, step: int = 1, growth_bytes: float = 0.0) -> Questions:
    """The largest multiple of `step` up to `most` whose peak is at most `capacity_bytes`.

    `start` is a value to begin with, `growth_bytes` what the peak is thought to grow by for each 1 more (0: no idea).
    Peaks must not fall as the value grows.
    """
    low, high = 0, most // step + 1  # in steps: `low` fits, `high` does not
    known: dict[int, int | None] = {}
    ask = min(max(1, start // step), most // step)
    for _ in range(MOST_QUESTIONS):
        known[ask] = answer = yield ask * step
        if answer is not None and answer <= capacity_bytes:
            low = ask
        else:
            high = ask
        if high - low <= 1:
            break
        ask = _next(known, low, high, capacity_bytes, growth_bytes * step)
    if low == 0:
        return Largest(None, known.get(1))
    refused = high in known and known[high] is None
    return Largest(low * step, known[low], refused or high not in known, _growth(known, capacity_bytes) / step)


def _next(known: dict[int, int | None], low: int, high: int, capacity_bytes: int, growth: float) -> int:
    """A value between `low` and `high`, both excluded, that the answers so far point at."""
    points = _nearest(known, capacity_bytes)
    guess = 2 * low if low else (high + 1) // 2
    if len(points) >= 2:
        growth = _growth(known, capacity_bytes)
    if points and growth > 0:
        value, size = min(points)
        guess = value + int((capacity_bytes - size) / growth)
    if guess >= high and high not in known:
        guess = max(guess, 2 * low)
    if not low < guess < high:
        guess = low + 1 if guess <= low else high - 1 if high in known else min(guess, high - 1)
    is_stuck = low in known and high in known and (high - low) > 2 and len(known) > 8
    return (low + high) // 2 if is_stuck else guess


def _nearest(known: dict[int, int | None], capacity_bytes: int) -> list[tuple[int, int]]:
    """The two answers that are nearest to the capacity: a peak that bends is straight over a short distance."""
    points = [(value, size) for value, size in sorted(known.items()) if size is not None]
    return sorted(points, key=lambda point: abs(point[1] - capacity_bytes))[:2]


def _growth(known: dict[int, int | None], capacity_bytes: int) -> float:
    points = sorted(_nearest(known, capacity_bytes))
    if len(points) < 2:
        return 0.0
    (a, size_a), (b, size_b) = points
    return (size_b - size_a) / (b - a)
