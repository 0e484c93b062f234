"""Which of several choices nothing beats (Pareto)."""

from __future__ import annotations

from collections.abc import Sequence


def front(points: Sequence[Sequence[float]], signs: Sequence[int]) -> list[bool]:
    """Which points nothing beats: no other is at least as good in everything and better in something.

    `signs`: 1 where more is better, -1 where less is; a point with a NaN is never on the front.
    """
    values = [[sign * value for sign, value in zip(signs, point, strict=True)] for point in points]
    known = [all(value == value for value in point) for point in values]
    return [
        known[i] and not any(
            known[j] and all(q >= p for p, q in zip(mine, other, strict=True)) and other != mine
            for j, other in enumerate(values)
        )
        for i, mine in enumerate(values)
    ]
