"""Sums and differences of logarithms over several runs, each with an interval: effects, and what pairs do together.

How well one is known depends on how its runs were measured. Of runs that took turns in one comparison it is the scatter
between processes, or between blocks (`hierarchy`). Of several seeds it is that between seeds, paired by seed (Student's
t), which covers what a new process and new data change as well. Of one run each it is the scatter of their steps alone
(block bootstrap).

The intervals of one family hold all at once, however its members were measured: one factor widens all of them
(`hierarchy.critical`). Draws of members that have nothing in common are as if independent, which for differences from
one baseline, whose deviations go together, is rather too wide than too narrow (Sidak, "Rectangular confidence regions
for the means of multivariate normal distributions", 1967).
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from tfx_engine.protocol.marker import tr_mark
from tfx_workbench.analysis.hierarchy import (
    NORMAL,
    Paired,
    Tree,
    block_draws,
    combined,
    critical,
    half_width,
    student,
)
from tfx_workbench.analysis.rounds import Place, tree_of
from tfx_workbench.analysis.statistics import EXACT, SEQUENTIAL, UNKNOWN, Effect, Method, interleaved
from tfx_workbench.runs.interval import FEWEST, LEVEL, RESAMPLES, Floats, bounds, finite, resampled_medians

_SEEDS = tr_mark("over {seeds} seeds, paired by seed: Student's t")
_MOST = 50.0  # logarithm of a bound that says nothing any more
_REMEMBERED = 512  # runs whose draws are kept: 8 KB each
Weights = Mapping[int, float]  # which configurations, how often: 1 and -1 for a difference


@dataclasses.dataclass(frozen=True, eq=False)
class Turns:
    """The logarithms of the steps of each block that a run did in its turn; `key`: of the run, as `key_of` gives it."""

    key: int
    blocks: Mapping[Place, Floats]


@dataclasses.dataclass(frozen=True, eq=False)
class Sample:
    """One configuration's measurements: `series` of the steps of each of its runs, and the `seeds` of those runs.

    An exact figure (bytes, parameters) is a series of one value; `is_exact` says so. `keys`: of each run, what its
    draws follow from, so that the same run draws alike beside whatever else. `turns`: of runs that took turns, by the
    comparison.
    """

    series: tuple[Floats, ...]
    seeds: tuple[int, ...]  # no seed twice
    is_exact: bool = False
    keys: tuple[int, ...] = ()
    turns: Mapping[str, Turns] = dataclasses.field(default_factory=dict)

    @property
    def centres(self) -> Floats:
        """The logarithm of the median of each run; NaN where there is none."""
        return np.array([_log_median(series) for series in self.series])

    @property
    def by_seed(self) -> dict[int, float]:
        """The centres of the seeds that have one."""
        return {seed: float(c) for seed, c in zip(self.seeds, self.centres, strict=True) if math.isfinite(c)}

    def of_seed(self, seed: int) -> tuple[int, Floats]:
        """Key and series of the run with this seed."""
        place = self.seeds.index(seed)
        return self.keys[place] if self.keys else key_of(self.series[place]), self.series[place]


def sample(
    series: Sequence[ArrayLike | None], is_exact: bool = False, seeds: Sequence[int] | None = None,
    keys: Sequence[int] = (), turns: Mapping[str, Turns] | None = None,
) -> Sample:
    """A sample of the values of each run; None and what is not positive are left out. Without `seeds`: 0, 1, ..."""
    kept = [finite(np.empty(0) if values is None else values) for values in series]
    return Sample(tuple(values[values > 0] for values in kept), tuple(range(len(kept)) if seeds is None else seeds),
                  is_exact, tuple(keys), turns or {})


def key_of(series: Floats) -> int:
    """A number that follows from these values and tells them from others."""
    return int.from_bytes(hashlib.blake2b(np.ascontiguousarray(series).tobytes(), digest_size=8).digest(), "little")


def effect(baseline: ArrayLike, other: ArrayLike) -> Effect:
    """The ratio of the medians of two series of positive measurements, as a difference in per cent.

    The 95 % interval comes from independent block bootstraps of both; it is distinguishable where it leaves out 0.
    With fewer than six values in a series it is the widest ratio that their ranges allow, where that is wide enough.
    """
    return effects_of_series(baseline, [other])[0]


def effects_of_series(baseline: ArrayLike, others: Sequence[ArrayLike]) -> list[Effect]:
    """As `effect`, of several series against one baseline: their intervals hold all at once."""
    samples = [sample([values]) for values in (baseline, *others)]
    return contrasts(samples, [{i: 1.0, 0: -1.0} for i in range(1, len(samples))])


def effects_of_pairs(pairs: Sequence[Paired]) -> list[Effect]:
    """The effects of interleaved comparisons with one baseline: their intervals hold all at once."""
    return _effects([_of_pair(pair) for pair in pairs])


def contrasts(samples: Sequence[Sample], family: Sequence[Weights]) -> list[Effect]:
    """exp(sum of weights x logarithms) - 1 in per cent, of every member of the family; the intervals hold at once.

    Each is over the blocks that all of its configurations have where they took turns, else over the seeds that all of
    them have; without any in common it is unknown.
    """
    by_seed = [one.by_seed for one in samples]
    of_blocks = functools.cache(lambda i, comparison, places: _block_draws(samples[i].turns[comparison], places))
    singles = []
    for weights in family:
        pair = _in_turns(samples, weights, of_blocks if len(family) > 1 else None)
        singles.append(_single(samples, by_seed, weights, len(family)) if pair is None else _of_pair(pair))
    return _effects(singles)


def _effects(singles: Sequence[_Single]) -> list[Effect]:
    """One correction for all that scatter, by whatever method they were found."""
    family = sum(single.is_judged for single in singles)
    z = critical([single.draws for single in singles if single.is_judged and single.draws is not None])
    return [_effect(single, z, family) for single in singles]


@dataclasses.dataclass(frozen=True, eq=False)
class _Single:
    """One contrast. Its interval is that of a `pair`; with `freedom`, `error` by Student's t; that of its draws, or
    `ends`."""

    mean: float
    draws: Floats | None = None
    error: float = math.nan
    freedom: int = 0
    pair: Paired | None = None
    ends: tuple[float, float] | None = None
    is_exact: bool = False
    method: Callable[[int], Method] | None = None  # of the size of the family

    @property
    def is_judged(self) -> bool:
        """Whether its interval is one of the family."""
        return bool(self.freedom) or any(part is not None for part in (self.pair, self.draws, self.ends))


# ---------------------------------------------------------------------------------------------- in turns

_BlockDraws = Callable[[int, str, tuple[Place, ...]], Tree]


def _in_turns(samples: Sequence[Sample], weights: Weights, draws: _BlockDraws | None) -> Paired | None:
    """The contrast over the blocks that all have in the comparison where these are most; None without any."""
    found: tuple[str, tuple[Place, ...]] = ("", ())
    for comparison in set.intersection(*(set(samples[i].turns) for i in weights)):
        shared = set.intersection(*(set(samples[i].turns[comparison].blocks) for i in weights))
        found = max(found, (comparison, tuple(sorted(shared))), key=lambda one: (len(one[1]), one[0]))
    comparison, places = found
    if not places:
        return None
    trees = [tree_of(samples[i].turns[comparison].blocks, places) for i in weights]
    drawn = None if draws is None else [draws(i, comparison, places) for i in weights]
    return combined(trees, list(weights.values()), drawn)


def _block_draws(turns: Turns, places: tuple[Place, ...]) -> Tree:
    return block_draws(tree_of(turns.blocks, places), (turns.key,))


def _of_pair(pair: Paired) -> _Single:
    method = functools.partial(interleaved, pair.processes, pair.blocks)
    draws = pair.draws if pair.draws.size else None
    if not math.isfinite(half_width(pair)):
        return _Single(pair.mean, method=method)
    return _Single(pair.mean, draws, pair=pair, method=method)


# ---------------------------------------------------------------------------------------------- by seed


def _single(
    samples: Sequence[Sample], by_seed: Sequence[Mapping[int, float]], weights: Weights, family: int
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
        return _Single(mean, drawn, float(values.std(ddof=1) / math.sqrt(values.size)), values.size - 1,
                       method=lambda _family: Method(_SEEDS, {"seeds": values.size}, covers_restarts=True))
    runs = [samples[i].of_seed(seeds[0]) for i in weights]
    if all(samples[i].is_exact or series.size >= FEWEST for i, (_, series) in zip(weights, runs, strict=True)):
        return _of_one_seed(samples, weights, seeds[0], mean)
    ends = _range(list(weights.values()), [series for _, series in runs], family)
    return _Single(mean, ends=ends, method=_sequential)


def _of_one_seed(samples: Sequence[Sample], weights: Weights, seed: int, mean: float) -> _Single:
    """Bootstrap draws of the sum of the medians of one run each."""
    total = np.zeros(RESAMPLES)
    for i, weight in weights.items():
        key, series = samples[i].of_seed(seed)
        total += weight * (math.log(series[0]) if samples[i].is_exact else _run_draws(key, series))
    return _Single(mean, total, method=_sequential)


def _range(weights: Sequence[float], runs: Sequence[Floats], family: int) -> tuple[float, float] | None:
    """The widest difference that a handful of values allows; None where that misses the truth too often.

    It misses it where, the difference taken away, all values of one run lie beyond all of the other: of n and m values
    2 in (n + m over n) times. Several comparisons share that risk evenly (Bonferroni).
    """
    if len(runs) != 2 or set(weights) != {1.0, -1.0}:
        return None
    risk = 2 / math.comb(sum(series.size for series in runs), runs[0].size)
    if risk > (1 - LEVEL) / family:
        return None
    other, baseline = runs if weights[0] > 0 else runs[::-1]
    return math.log(other.min() / baseline.max()), math.log(other.max() / baseline.min())


def _sequential(_family: int) -> Method:
    return SEQUENTIAL


def _log_median(series: Floats) -> float:
    return float(np.log(np.median(series))) if series.size else math.nan


_drawn: dict[tuple[int, int], Floats] = {}


def _run_draws(key: int, series: Floats) -> Floats:
    """Bootstrap draws of the logarithm of the median of a run, which follow from its key and its values alone."""
    mark = (key, key_of(series))
    found = _drawn.get(mark)
    if found is None:
        found = np.log(resampled_medians(series, np.random.default_rng(key)))
        if len(_drawn) >= _REMEMBERED:
            _drawn.clear()
        _drawn[mark] = found
    return found


# ---------------------------------------------------------------------------------------------- in words and per cent


def _effect(single: _Single, z: float, family: int) -> Effect:
    if math.isnan(single.mean):
        return UNKNOWN
    percent = _percent(single.mean)
    if single.is_exact:
        return Effect(percent, percent, percent, abs(single.mean) > 1e-12, method=EXACT)
    method = None if single.method is None else single.method(family)
    if single.ends is not None:
        low, high = single.ends
    elif single.pair is not None or single.freedom:
        half = student(z, single.freedom) * single.error if single.pair is None else half_width(single.pair, z)
        low, high = single.mean - half, single.mean + half
    elif single.draws is not None:
        low, high = (single.mean + z / NORMAL * (bound - single.mean) for bound in bounds(single.draws))
    else:
        return Effect(percent, math.nan, math.nan, None, method=method)
    low, high = min(low, single.mean), max(high, single.mean)
    found = Effect(percent, _percent(low), _percent(high), low > 0 or high < 0, method=method)
    is_corrected = single.is_judged and family > 1
    return dataclasses.replace(found, corrected=True, family=family) if is_corrected else found


def _percent(logarithm: float) -> float:
    return 100 * math.expm1(max(-_MOST, min(_MOST, logarithm)))
