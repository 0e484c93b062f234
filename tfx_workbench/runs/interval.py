"""The median of a series of step measurements with a 95 % interval, by block bootstrap.

Step times are not independent: a slow spell of the machine makes neighbours slow together. So whole blocks of
neighbours are drawn, not single steps (circular block bootstrap: Politis & Romano, "A circular block-resampling
procedure for stationary data", 1992), as long as the series' own memory asks for (Politis & White, "Automatic
block-length selection for the dependent bootstrap", 2004, with an AR(1) fit of the series' sign about its median).

An interval of one run says how well *that run's* median is known. It knows nothing of what differs between runs: what
else the machine did meanwhile, clocks, temperature.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

RESAMPLES = 1000
LEVEL = 0.95
FEWEST = 6  # with fewer values even minimum..maximum holds the median in less than 95 % of cases
DIRECT = 512  # a longer series is first cut into batches of neighbours, about this many
SMALLEST_BATCH = 16  # fewer neighbours, and the median of a batch behaves like their mean

Floats = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Interval:
    """A median and its 95 % interval in the unit of the values; NaN where there are too few to know.

    With two to five values `low` and `high` are their minimum and maximum, which hold less than 95 %.
    """

    median: float
    low: float
    high: float
    count: int = 0

    def as_dict(self) -> dict[str, float | int | None]:
        """`{median, low, high, steps}` for JSON; None for what is unknown."""
        return {"median": _known(self.median), "low": _known(self.low), "high": _known(self.high), "steps": self.count}


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None


@np.errstate(over="ignore", invalid="ignore")  # a file may hold readings of 1e308; their interval is then unknown
def median_interval(values: ArrayLike, seed: int = 0) -> Interval:
    """The median of `values` (in the order in which they were measured) with its 95 % interval; NaN are left out.

    The same values and seed give the same interval, to the bit.
    """
    series = finite(values)
    count = series.size
    if count == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    median = float(np.median(series))
    if count == 1:
        return Interval(median, math.nan, math.nan, 1)
    if count < FEWEST:
        return Interval(median, float(series.min()), float(series.max()), count)
    low, high = bounds(resampled_medians(series, np.random.default_rng(seed)))
    return Interval(median, min(low, median), max(high, median), count)


def finite(values: ArrayLike) -> Floats:
    """The finite values as float64, in their order."""
    series = np.asarray(values, dtype=np.float64).ravel()
    return series[np.isfinite(series)]


def bounds(samples: Floats) -> tuple[float, float]:
    """The central 95 % of bootstrap samples."""
    low, high = np.quantile(samples, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def resampled_medians(series: Floats, rng: np.random.Generator, resamples: int = RESAMPLES) -> Floats:
    """`resamples` draws of the median of `series` [n], as float64 [resamples].

    A longer series than `DIRECT` is cut into batches of neighbours first: the medians of the batches are resampled and
    their mean's spread is put about the median of the whole, so that the cost does not grow with the series. Where all
    values are positive, as times and speeds are, the spread is one of factors: no bound lies beyond zero, and a speed's
    bounds are those of its time.
    """
    median, are_factors = np.median(series), bool(series.min() > 0)
    scale = np.log if are_factors else np.asarray
    if series.size <= DIRECT:
        indices, blocks = _block_indices(series, rng, resamples)
        deviations = scale(_drawn_medians(series, indices)) - scale(median)
    else:
        batch = max(SMALLEST_BATCH, series.size // DIRECT)
        whole = series.size // batch * batch
        medians = scale(np.median(series[:whole].reshape(-1, batch), axis=1))
        indices, blocks = _block_indices(medians, rng, resamples)
        deviations = _twice(medians)[indices].mean(axis=1) - medians.mean()
    widened = _widening(blocks) * deviations
    return np.asarray(median * np.exp(widened) if are_factors else median + widened)


def _drawn_medians(series: Floats, indices: NDArray[np.int64]) -> Floats:
    """`np.median(_twice(series)[indices], axis=1)` to the bit, a few times faster: ranks of 16 bits are sorted instead.

    Sorting small integers takes the same short time on every processor; `series` has at most `DIRECT` values.
    """
    order = np.argsort(series, kind="stable")
    ranks = np.empty(series.size, np.uint16)
    ranks[order] = np.arange(series.size)
    drawn = _twice(ranks)[indices]
    drawn.sort(axis=1, kind="stable")  # a radix sort
    count, in_order = drawn.shape[1], series[order]
    middle = in_order[drawn[:, (count - 1) // 2]] + in_order[drawn[:, count // 2]]
    return np.asarray(middle / 2)


def _twice(values: NDArray[Any]) -> NDArray[Any]:
    """The values and once more the values: what wraps round at their end goes straight on."""
    return np.concatenate([values, values])


def _widening(blocks: float) -> float:
    """What a percentile bootstrap over this many blocks lacks: Student's t over the normal, and n over n - 1.

    The quantile of Student's t by its Cornish-Fisher expansion (Abramowitz & Stegun 26.7.5).
    """
    z, freedom = 1.959964, max(blocks - 1, 2.0)
    t = z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return t / z * math.sqrt((freedom + 1) / freedom)


def _block_indices(series: Floats, rng: np.random.Generator, resamples: int) -> tuple[NDArray[np.int64], float]:
    """Indices [resamples, n] into `series` put twice in a row, in blocks of neighbours; n / block length."""
    count = series.size
    block = block_length(series)
    blocks = -(-count // block)
    starts = rng.integers(0, count, size=(resamples, blocks, 1))
    indices = (starts + np.arange(block)).reshape(resamples, blocks * block)[:, :count]
    return indices, count / block


def block_length(series: Floats) -> int:
    """How many neighbours belong together: 1 for independent values, at most a quarter of the series."""
    count = series.size
    above = np.sign(series - np.median(series))
    power = float(above @ above)
    correlation = float(above[1:] @ above[:-1]) / power if power else 0.0
    correlation = min(abs(correlation), 0.97)
    pull = 2 * correlation / (1 - correlation**2)
    length = math.ceil((1.5 * pull**2 * count) ** (1 / 3))
    return max(1, min(length, count // 4))
