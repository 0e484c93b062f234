"""The most that fits is found with few questions, whatever the shape of the peak."""

from __future__ import annotations

import pytest

from tfx_workbench.analysis.largest import largest

SHAPES = {
    "proportional": lambda n: 1000 + 37 * n,
    "square": lambda n: 5000 + 3 * n + n * n,
    "bent": lambda n: max(10_000 + n, 90 * n),
    "steps": lambda n: 4096 * (n // 7) + 100,
    "flat, then steep": lambda n: 50_000 if n < 300 else 50_000 + 900 * (n - 299),
}


@pytest.mark.parametrize("step", [1, 8])
@pytest.mark.parametrize("start", [1, 8, 5000])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_largest_that_fits_is_found_with_few_questions(shape: str, start: int, step: int) -> None:
    asked: list[int] = []

    def peak(value: int) -> int:
        asked.append(value)
        return SHAPES[shape](value)

    found = largest(peak, 100_000, start, 1_000_000, step)
    wanted = max(n for n in range(step, 200_000, step) if SHAPES[shape](n) <= 100_000)
    assert (found.value, found.peak_bytes) == (wanted, SHAPES[shape](wanted))
    assert not found.is_limited
    assert len(asked) == len(set(asked)) <= 30
    assert all(value % step == 0 for value in asked)


def test_nothing_fits_where_the_smallest_does_not() -> None:
    found = largest(lambda n: 10 * n + 1000, 900, 8, 1000)
    assert found.value is None and found.peak_bytes == 1010


def test_a_refusal_or_the_most_that_is_allowed_ends_it_and_is_said() -> None:
    refused = largest(lambda n: 10 * n if n <= 70 else None, 10_000, 8, 1000)
    assert (refused.value, refused.is_limited) == (70, True)
    most = largest(lambda n: 10 * n, 10_000, 8, 64)
    assert (most.value, most.is_limited) == (64, True)
