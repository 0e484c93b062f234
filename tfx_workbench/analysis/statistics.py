"""How much one run differs from another, in per cent, with an interval.

Of runs that were measured one after the other the interval covers the scatter of their steps, not what changed on the
machine between them. That takes interleaved rounds (`hierarchy`); every effect says by which method it was found.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.hierarchy import Paired, critical, half_width
from tfx_workbench.runs.interval import (
    FEWEST,
    Floats,
    Interval,
    bounds,
    finite,
    median_interval,
    resampled_medians,
)
from tfx_workbench.runs.noise import log_factor

__all__ = ["Effect", "Interval", "Method", "effect", "exact_effect", "median_interval"]

_MOST = 50.0  # logarithm of a bound that says nothing any more


@dataclasses.dataclass(frozen=True)
class Method:
    """How an effect was found, as a template over its arguments."""

    template: str
    args: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return self.template.format(**self.args)


EXACT = Method(tr_mark("counted, without scatter"))
SEQUENTIAL = Method(tr_mark("one after the other, block bootstrap: does not cover drift"))
_INTERLEAVED = tr_mark("interleaved: mean of {processes} processes with {blocks} blocks, Student's t")
_INTERLEAVED_SEVERAL = tr_mark(
    "interleaved: mean of {processes} processes with {blocks} blocks, Student's t; corrected for {family} comparisons "
    "by a hierarchical bootstrap")
_ONE_PROCESS = tr_mark("interleaved in one process each: mean of {blocks} blocks, Student's t; does not cover what a "
                       "restart changes")
_ONE_PROCESS_SEVERAL = tr_mark(
    "interleaved in one process each: mean of {blocks} blocks, Student's t; corrected for {family} comparisons by a "
    "hierarchical bootstrap; does not cover what a restart changes")


@dataclasses.dataclass(frozen=True)
class Effect:
    """A difference to the baseline in per cent: positive means that `other` is larger.

    `low` and `high` are NaN where no interval can be known, and `distinguishable` is None then. `corrected`: the
    intervals of `family` comparisons hold all at once in 95 % of cases. `noise_band`: by how many per cent two copies
    of the same configuration may differ on this machine, None where that is not known; a difference within it is not
    distinguishable.
    """

    percent: float
    low: float
    high: float
    distinguishable: bool | None
    corrected: bool = False
    family: int = 1
    noise_band: float | None = None
    method: Method | None = None

    def as_dict(self) -> dict[str, Any]:
        """`{percent, low, high, distinguishable, corrected, family, noise_band, method}` for JSON."""
        known = {name: value if math.isfinite(value) else None
                 for name, value in (("percent", self.percent), ("low", self.low), ("high", self.high))}
        return {**known, "distinguishable": self.distinguishable, "corrected": self.corrected, "family": self.family,
                "noise_band": self.noise_band, "method": None if self.method is None else str(self.method)}

    def within(self, noise_band: float | None) -> Effect:
        """The same, not distinguishable where it lies within this band."""
        if noise_band is None or self.distinguishable is None:
            return self
        # In factors, so that twice and half are as far: of the same steps, time and tokens/s are told apart alike.
        beyond = self.distinguishable and abs(log_factor(self.percent)) > log_factor(noise_band)
        return dataclasses.replace(self, noise_band=noise_band, distinguishable=beyond)


UNKNOWN = Effect(math.nan, math.nan, math.nan, None)


def effect(baseline: ArrayLike, other: ArrayLike, seed: int = 0) -> Effect:
    """The ratio of the medians of two series of positive measurements, as a difference in per cent.

    The 95 % interval comes from independent block bootstraps of both; it is distinguishable where it leaves out 0.
    With fewer than six values in a series the widest ratio that its range allows is taken.
    """
    return effects_of_series(baseline, [other], seed)[0]


def effects_of_series(baseline: ArrayLike, others: Sequence[ArrayLike], seed: int = 0) -> list[Effect]:
    """As `effect`, of several series against one baseline: their intervals hold all at once."""
    own, *each = np.random.SeedSequence(seed).spawn(1 + len(others))  # the baseline's draws are common to all
    found = [_of_series(baseline, other, own, child) for other, child in zip(others, each, strict=True)]
    draws = [d for _, d in found if d is not None]
    if len(draws) < 2:
        return [single for single, _ in found]
    stretch = critical(draws) / critical(draws[:1])
    return [single if d is None else _stretched(single, stretch, len(draws)) for single, d in found]


def _of_series(
    baseline: ArrayLike, other: ArrayLike, seed_a: np.random.SeedSequence, seed_b: np.random.SeedSequence
) -> tuple[Effect, Floats | None]:
    """One effect for itself and the logarithms of its bootstrap samples, where there are enough values."""
    a, b = finite(baseline), finite(other)
    if not a.size or not b.size or np.median(a) <= 0:
        return UNKNOWN, None
    percent = _percent(float(np.median(b) / np.median(a)))
    unknown = Effect(percent, math.nan, math.nan, None, method=SEQUENTIAL)
    if min(a.size, b.size) < 2:
        return unknown, None
    low_a, high_a, medians_a = _medians(a, np.random.default_rng(seed_a))
    low_b, high_b, medians_b = _medians(b, np.random.default_rng(seed_b))
    draws = None
    if medians_a is not None and medians_b is not None:
        ratios = medians_b / medians_a
        low, high = (_percent(ratio) for ratio in bounds(ratios))
        draws = np.log(ratios) if ratios.min() > 0 else None
    elif low_a > 0:
        low, high = _percent(low_b / high_a), _percent(high_b / low_a)
    else:
        return unknown, None
    return _effect(percent, min(low, percent), max(high, percent), SEQUENTIAL), draws


def _stretched(single: Effect, stretch: float, family: int) -> Effect:
    """The same with wider bounds, in factors of the difference."""
    middle = math.log1p(single.percent / 100)
    low, high = (_percent(math.exp(middle + stretch * (math.log1p(bound / 100) - middle)))
                 for bound in (single.low, single.high))
    return dataclasses.replace(_effect(single.percent, low, high, SEQUENTIAL), corrected=True, family=family)


def effects_of_pairs(pairs: Sequence[Paired | None]) -> list[Effect]:
    """The effects of interleaved comparisons with one baseline, None being one without any block in common.

    Their intervals hold all at once.
    """
    known = [pair for pair in pairs if pair is not None and pair.freedom]
    z, family = critical([pair.draws for pair in known]), len(known)
    return [UNKNOWN if pair is None else _of_pair(pair, z, family) for pair in pairs]


def _of_pair(pair: Paired, z: float, family: int) -> Effect:
    one, several = ((_INTERLEAVED, _INTERLEAVED_SEVERAL) if pair.processes > 1 else
                    (_ONE_PROCESS, _ONE_PROCESS_SEVERAL))  # fmt: skip
    method = Method(several if family > 1 else one,
                    {"processes": pair.processes, "blocks": pair.blocks, "family": family})
    percent, half = _percent(math.exp(pair.mean)), half_width(pair, z)
    if not math.isfinite(half):
        return Effect(percent, math.nan, math.nan, None, method=method)
    low, high = (_percent(math.exp(min(pair.mean + side * half, _MOST))) for side in (-1, 1))
    return dataclasses.replace(_effect(percent, low, high, method), corrected=family > 1, family=family)


def _effect(percent: float, low: float, high: float, method: Method) -> Effect:
    return Effect(percent, low, high, low > 0 or high < 0, method=method)


def exact_effect(baseline: float | None, other: float | None) -> Effect:
    """The difference of two counts that have no scatter (bytes of an allocator, parameters), in per cent.

    From nothing to something has no percentage: NaN, yet distinguishable.
    """
    if baseline is None or other is None:
        return UNKNOWN
    if baseline == other:
        return Effect(0.0, 0.0, 0.0, False, method=EXACT)
    if baseline <= 0:
        return Effect(math.nan, math.nan, math.nan, True, method=EXACT)
    percent = _percent(other / baseline)
    return Effect(percent, percent, percent, True, method=EXACT)


def _medians(series: Floats, rng: np.random.Generator) -> tuple[float, float, Floats | None]:
    """Bounds of the median and, where there are enough values, its bootstrap samples."""
    if series.size < FEWEST:
        return float(series.min()), float(series.max()), None
    samples = resampled_medians(series, rng)
    return *bounds(samples), samples


def _percent(ratio: float) -> float:
    return (ratio - 1) * 100
