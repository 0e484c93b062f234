"""Sums and differences of logarithms over several runs, each with an interval: effects, and what pairs do together.

Of one run for each configuration the interval covers the scatter of its steps (block bootstrap). Of several seeds it is
that between seeds, paired by seed (Student's t), which covers what a new process and new data change as well. Intervals
of one family hold all at once.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.hierarchy import NORMAL, critical, student
from tfx_workbench.analysis.statistics import EXACT, SEQUENTIAL, UNKNOWN, Effect, Method
from tfx_workbench.runs.interval import FEWEST, RESAMPLES, Floats, bounds, finite, resampled_medians

_SEEDS = tr_mark("over {seeds} seeds, paired by seed: Student's t")
_MOST = 50.0  # logarithm of a bound that says nothing any more
Weights = Mapping[int, float]  # which configurations, how often: 1 and -1 for a difference


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """One configuration's measurements: `series` of the steps of each of its runs, and the `seeds` of those runs.

    An exact figure (bytes, parameters) is a series of one value; `is_exact` says so.
    """

    series: tuple[Floats, ...]
    seeds: tuple[int, ...]  # no seed twice
    is_exact: bool = False

    @property
    def centres(self) -> Floats:
        """The logarithm of the median of each run; NaN where there is none."""
        return np.array([_log_median(series) for series in self.series])

    @property
    def by_seed(self) -> dict[int, float]:
        """The centres of the seeds that have one."""
        return {seed: float(c) for seed, c in zip(self.seeds, self.centres, strict=True) if math.isfinite(c)}


def sample(
    series: Sequence[Sequence[float] | Floats | None], is_exact: bool = False, seeds: Sequence[int] | None = None
) -> Sample:
    """A sample of the values of each run; None and what is not positive are left out. Without `seeds`: 0, 1, ..."""
    kept = [finite(np.empty(0) if values is None else values) for values in series]
    return Sample(tuple(values[values > 0] for values in kept), tuple(range(len(kept)) if seeds is None else seeds),
                  is_exact)


def _log_median(series: Floats) -> float:
    return float(np.log(np.median(series))) if series.size else math.nan


def contrasts(samples: Sequence[Sample], family: Sequence[Weights], seed: int = 0) -> list[Effect]:
    """exp(sum of weights x logarithms) - 1 in per cent, of every member of the family; the intervals hold at once.

    Each is over the seeds that all of its configurations have; without any in common it is unknown.
    """
    draws = functools.cache(lambda i, of_seed: _run_draws(samples[i], of_seed, (seed, i)))
    by_seed = [one.by_seed for one in samples]
    singles = [_single(samples, by_seed, draws, weights) for weights in family]
    scattering = [single.draws for single in singles if single.draws is not None]
    z = critical(scattering)
    return [_effect(single, z, len(scattering)) for single in singles]


@dataclasses.dataclass(frozen=True, eq=False)
class _Single:
    """One contrast: `error` and `freedom` of several seeds, else the draws alone."""

    mean: float
    draws: Floats | None = None
    error: float = math.nan
    freedom: int = 0
    is_exact: bool = False


def _run_draws(one: Sample, of_seed: int, rng_seed: tuple[int, int]) -> Floats | None:
    """Bootstrap draws of the logarithm of the median of the run with this seed; None where it has too few values."""
    series = one.series[one.seeds.index(of_seed)]
    if one.is_exact or series.size < FEWEST:
        return None
    seed, place = rng_seed
    drawn = resampled_medians(series, np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(place,))))
    return np.log(drawn) if drawn.min() > 0 else None


def _single(
    samples: Sequence[Sample], by_seed: Sequence[Mapping[int, float]], draws: Callable[[int, int], Floats | None],
    weights: Weights,
) -> _Single:
    seeds = sorted(set.intersection(*(set(by_seed[i]) for i in weights)))
    if not seeds:
        return _Single(math.nan)
    values = np.array([sum(weight * by_seed[i][seed] for i, weight in weights.items()) for seed in seeds])
    mean = float(values.mean())
    if all(samples[i].is_exact for i in weights) and np.ptp(values) == 0:
        return _Single(mean, is_exact=True)
    if values.size > 1:
        # Members of a family with the same seeds have the same of them drawn.
        rng = np.random.default_rng([values.size, *map(abs, seeds)])
        drawn = values[rng.integers(0, values.size, (RESAMPLES, values.size))].mean(axis=1)
        return _Single(mean, drawn, float(values.std(ddof=1) / math.sqrt(values.size)), values.size - 1)
    (only,) = seeds
    of_runs = {i: draws(i, only) for i in weights}
    if any(of_runs[i] is None and not samples[i].is_exact for i in weights):
        return _Single(mean)
    total = np.zeros(RESAMPLES)
    for i, weight in weights.items():
        of_run = of_runs[i]
        total += weight * (by_seed[i][only] if of_run is None else of_run)
    return _Single(mean, total)


def _effect(single: _Single, z: float, family: int) -> Effect:
    if math.isnan(single.mean):
        return UNKNOWN
    percent = _percent(single.mean)
    if single.is_exact:
        return Effect(percent, percent, percent, abs(single.mean) > 1e-12, method=EXACT)
    if single.draws is None:
        return Effect(percent, math.nan, math.nan, None)
    if single.freedom:
        half = student(z, single.freedom) * single.error
        low, high, method = single.mean - half, single.mean + half, Method(_SEEDS, {"seeds": single.freedom + 1})
    else:
        low, high = (single.mean + z / NORMAL * (bound - single.mean) for bound in bounds(single.draws))
        low, high, method = min(low, single.mean), max(high, single.mean), SEQUENTIAL
    return Effect(percent, _percent(low), _percent(high), low > 0 or high < 0, corrected=family > 1, family=family,
                  method=method)


def _percent(logarithm: float) -> float:
    return 100 * math.expm1(max(-_MOST, min(_MOST, logarithm)))
