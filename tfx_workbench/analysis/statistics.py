"""How much one run differs from another, in per cent, with an interval.

The interval holds for the two runs as they were measured, one after the other: it covers the scatter of their steps,
not what changed on the machine between them. A comparison that covers that too needs interleaved rounds.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import ArrayLike

from tfx_workbench.runs.interval import (
    FEWEST,
    Floats,
    Interval,
    bounds,
    finite,
    median_interval,
    resampled_medians,
)

__all__ = ["Effect", "Interval", "effect", "exact_effect", "median_interval"]


@dataclasses.dataclass(frozen=True)
class Effect:
    """A difference to the baseline in per cent: positive means that `other` is larger.

    `low` and `high` are NaN where no interval can be known, and `distinguishable` is None then.
    """

    percent: float
    low: float
    high: float
    distinguishable: bool | None

    def as_dict(self) -> dict[str, float | bool | None]:
        """`{percent, low, high, distinguishable}` for JSON."""
        known = {name: value if math.isfinite(value) else None
                 for name, value in (("percent", self.percent), ("low", self.low), ("high", self.high))}
        return {**known, "distinguishable": self.distinguishable}


UNKNOWN = Effect(math.nan, math.nan, math.nan, None)


def effect(baseline: ArrayLike, other: ArrayLike, seed: int = 0) -> Effect:
    """The ratio of the medians of two series of positive measurements, as a difference in per cent.

    The 95 % interval comes from independent block bootstraps of both; it is distinguishable where it leaves out 0.
    With fewer than six values in a series the widest ratio that its range allows is taken.
    """
    a, b = finite(baseline), finite(other)
    if not a.size or not b.size or np.median(a) <= 0:
        return UNKNOWN
    percent = _percent(float(np.median(b) / np.median(a)))
    if min(a.size, b.size) < 2:
        return Effect(percent, math.nan, math.nan, None)
    rng_a, rng_b = (np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(2))
    low_a, high_a, medians_a = _medians(a, rng_a)
    low_b, high_b, medians_b = _medians(b, rng_b)
    if medians_a is not None and medians_b is not None:
        low, high = (_percent(ratio) for ratio in bounds(medians_b / medians_a))
    elif low_a > 0:
        low, high = _percent(low_b / high_a), _percent(high_b / low_a)
    else:
        return Effect(percent, math.nan, math.nan, None)
    low, high = min(low, percent), max(high, percent)
    return Effect(percent, low, high, low > 0 or high < 0)


def exact_effect(baseline: float | None, other: float | None) -> Effect:
    """The difference of two counts that have no scatter (bytes of an allocator, parameters), in per cent.

    From nothing to something has no percentage: NaN, yet distinguishable.
    """
    if baseline is None or other is None:
        return UNKNOWN
    if baseline == other:
        return Effect(0.0, 0.0, 0.0, False)
    if baseline <= 0:
        return Effect(math.nan, math.nan, math.nan, True)
    percent = _percent(other / baseline)
    return Effect(percent, percent, percent, True)


def _medians(series: Floats, rng: np.random.Generator) -> tuple[float, float, Floats | None]:
    """Bounds of the median and, where there are enough values, its bootstrap samples."""
    if series.size < FEWEST:
        return float(series.min()), float(series.max()), None
    samples = resampled_medians(series, rng)
    return *bounds(samples), samples


def _percent(ratio: float) -> float:
    return (ratio - 1) * 100
