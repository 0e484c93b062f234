"""The most that fits: the largest value whose peak stays within a capacity, found with few questions.

Peak memory grows with batch, context and layers, nearly in proportion or faster, so the next value to ask for is read
off the line through the last answers, and the interval between what fits and what does not is halved where the line
leads nowhere new.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

MOST_QUESTIONS = 40  # two a decade are usual; a peak that does not grow must end too

Peak = Callable[[int], int | None]  # value -> bytes; None where the value is refused


@dataclasses.dataclass(frozen=True)
class Largest:
    """`value` fits with `peak_bytes` and the next does not; None where not even the smallest does.

    `is_limited`: it is not memory that ends it: greater values are refused, or `most` was reached.
    """

    value: int | None
    peak_bytes: int | None
    is_limited: bool = False


def largest(peak: Peak, capacity_bytes: int, start: int, most: int, step: int = 1) -> Largest:
    """The largest multiple of `step` up to `most` whose peak is at most `capacity_bytes`.

    `start` is a value to begin with. `peak` must not fall as the value grows.
    """
    low, high = 0, most // step + 1  # in steps: `low` fits, `high` does not
    known: dict[int, int | None] = {}
    ask = min(max(1, start // step), most // step)
    for _ in range(MOST_QUESTIONS):
        known[ask] = answer = peak(ask * step)
        if answer is not None and answer <= capacity_bytes:
            low = ask
        else:
            high = ask
        if high - low <= 1:
            break
        ask = _next(known, low, high, capacity_bytes)
    if low == 0:
        return Largest(None, None)
    refused = high in known and known[high] is None
    return Largest(low * step, known[low], is_limited=refused or high not in known)


def _next(known: dict[int, int | None], low: int, high: int, capacity_bytes: int) -> int:
    """A value between `low` and `high`, both excluded, that the answers so far point at."""
    points = sorted((value, size) for value, size in known.items() if size is not None)
    guess = 2 * low if low else (high + 1) // 2
    if len(points) >= 2:
        # The two that are nearest to the capacity: a peak that bends is straight over a short distance.
        (a, size_a), (b, size_b) = sorted(sorted(points, key=lambda p: abs(p[1] - capacity_bytes))[:2])
        if size_b > size_a:
            guess = a + int((capacity_bytes - size_a) * (b - a) / (size_b - size_a))
    if guess >= high and high not in known:
        guess = max(guess, 2 * low)
    if not low < guess < high:
        guess = low + 1 if guess <= low else high - 1 if high in known else min(guess, high - 1)
    is_stuck = low in known and high in known and (high - low) > 2 and len(known) > 8
    return (low + high) // 2 if is_stuck else guess
