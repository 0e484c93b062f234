"""What an ablation found: its runs by configuration, the effect of each, and which pairs of levels help or hurt.

Runs that were not queued as an ablation make one too: their levels are what their configurations differ in.
"""

from __future__ import annotations

import collections
import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tfx_engine.protocol.cards import load_catalogue
from tfx_workbench.analysis.ablation import FACT
from tfx_workbench.analysis.comparable import task_of, why_not
from tfx_workbench.analysis.compare import is_control_of, noise_of, series_effects
from tfx_workbench.analysis.config_words import differences
from tfx_workbench.analysis.contrasts import Sample, Weights, contrasts
from tfx_workbench.analysis.factors import Levels
from tfx_workbench.analysis.measurements import SERIES, is_measured, measurements, seed_of
from tfx_workbench.analysis.rounds import CONTROL, role
from tfx_workbench.analysis.statistics import UNKNOWN, Effect
from tfx_workbench.runs.noise import device_of

if TYPE_CHECKING:
    from tfx_workbench.runs.rundata import RunData

METRICS = (*SERIES[:1], "peak_bytes", "loss", "flops_per_token", "params")
# Which sign of an interaction helps: more of these is better, of all others less.
MORE_IS_BETTER = ("tokens_per_s",)


@dataclasses.dataclass(frozen=True, eq=False)
class Configuration:
    """One configuration on one device and its runs, by seed, one of each; `levels` has the level of every factor."""

    levels: Levels
    runs: tuple[RunData, ...]
    device: str = ""  # empty where none of its runs says

    @property
    def ended(self) -> tuple[RunData, ...]:
        """Those that have measured steps and will have no more."""
        return tuple(run for run in self.runs if is_measured(run))


@dataclasses.dataclass(frozen=True, eq=False)
class Results:
    """`configurations[0]` is what the others are compared with."""

    configurations: tuple[Configuration, ...]
    factors: tuple[str, ...]  # paths, or titles where the runs were not queued as an ablation
    band: float | None = None  # per cent that equal runs may differ by in time on this machine, where that is known
    controls: tuple[RunData, ...] = ()  # second copies of baselines; of no configuration

    def samples(self, metric: str) -> list[Sample]:
        """The measurements of a metric, configuration by configuration."""
        return [measurements(configuration.ended, metric) for configuration in self.configurations]

    def effects(self, metric: str) -> list[Effect]:
        """Every configuration against the first one; their intervals hold all at once.

        Runs that took turns are compared block by block. What cannot be compared (`comparable.why_not`) is unknown.
        """
        first, *others = [(c.ended or c.runs)[0] for c in self.configurations]
        known = [i for i, run in enumerate(others, start=1) if not why_not(first, run, metric)]
        found = dict(zip(known, self.contrasts(metric, [{i: 1.0, 0: -1.0} for i in known]), strict=True))
        return [found.get(i, UNKNOWN) for i in range(1, len(self.configurations))]

    def contrasts(self, metric: str, family: Sequence[Weights]) -> list[Effect]:
        """The members of one family, not distinguishable within the noise of as many runs as each is made of."""
        found = _contrasts(self.samples(metric), family)
        if metric not in SERIES:
            return found
        band = self._noise(metric)
        # It is that of a difference of two runs.
        wider = [math.sqrt(sum(weight**2 for weight in weights.values()) / 2) for weights in family]
        return [effect.within(None if band is None else band * factor)
                for effect, factor in zip(found, wider, strict=True)]

    def _noise(self, metric: str) -> float | None:
        """The band that a second copy of the first configuration's run says, where there is one among these."""
        for run, control in itertools.product(self.configurations[0].runs, self.controls):
            if is_control_of(run, control):
                return noise_of(series_effects(run, [control], metric)[0])
        return self.band

    @property
    def mixes_tasks(self) -> bool:
        """Whether some of them learn something else than the first."""
        return len({task_of(configuration.runs[0]) for configuration in self.configurations}) > 1

    @property
    def lacks_common_seeds(self) -> bool:
        """Whether one was measured with none of the first's seeds."""
        first, *others = [set(map(seed_of, configuration.ended)) for configuration in self.configurations]
        return any(seeds and seeds.isdisjoint(first) for seeds in others)

    @property
    def mixes_devices(self) -> bool:
        """Whether they were measured on several devices."""
        return len({configuration.device for configuration in self.configurations} - {""}) > 1


# What was drawn from the same steps is drawn once.
_drawn: collections.OrderedDict[Any, tuple[Sequence[Sample], list[Effect]]] = collections.OrderedDict()
_MOST_DRAWN = 24


def _contrasts(samples: Sequence[Sample], family: Sequence[Weights]) -> list[Effect]:
    """As `contrasts`, remembered for the same arrays."""
    arrays = tuple((one.seeds, tuple((id(series), series.size) for series in one.series), tuple(one.turns))
                   for one in samples)
    key = arrays, tuple(tuple(sorted(weights.items())) for weights in family)
    if key not in _drawn:
        _drawn[key] = samples, contrasts(samples, family)  # the samples too: an id is that of a living array
        while len(_drawn) > _MOST_DRAWN:
            _drawn.popitem(last=False)
    return _drawn[key][1]


def results_of(
    runs: Sequence[RunData], baseline: RunData | None = None, band: float | None = None
) -> Results:
    """The runs by configuration and device; `baseline`, or what the ablation itself compares with, comes first.

    Controls belong to none. Of several runs of one configuration with one seed the newest that was measured counts.
    `band`: by how many per cent equal runs may differ in time (`compare.known_band`).
    """
    copies = [run for run in runs if role(run) == CONTROL]
    controls = tuple(run for run in copies if any(is_control_of(other, run) for other in runs))
    runs = [run for run in runs if run not in controls]
    baseline = None if baseline in controls else baseline
    if not runs:
        return Results((), ())
    first = _reference(runs) or baseline or runs[0]
    levels = _levels(runs, first)
    factors = tuple(dict.fromkeys(path for one in levels for path in one))
    keys = [tuple(sorted(own.items())) for own in levels]
    devices = [device_of(run.facts) for run in runs]
    # One that waits does not know its device yet, and stands with the others of its levels.
    known = {key: device for key, device in zip(reversed(keys), reversed(devices), strict=True) if device}
    groups: dict[tuple[tuple[tuple[str, str], ...], str], list[RunData]] = {}
    for run, key, device in zip(runs, keys, devices, strict=True):
        groups.setdefault((key, device or known.get(key, "")), []).append(run)
    ordered = sorted(groups, key=lambda group: first not in groups[group])  # else in the order in which they were run
    made = tuple(Configuration(dict(key), _one_of_each_seed(groups[key, on]), on) for key, on in ordered)
    return Results(made, factors, band, controls)


def _one_of_each_seed(runs: Sequence[RunData]) -> tuple[RunData, ...]:
    """By seed, the newest of each that was measured, else the newest."""
    by_age = sorted(runs, key=lambda run: (is_measured(run), run.info.created_at))
    newest = {seed_of(run): run for run in by_age}
    return tuple(newest[seed] for seed in sorted(newest))


def _fact(run: RunData) -> Mapping[str, Any]:
    fact = run.facts.get(FACT)
    return fact if isinstance(fact, dict) and isinstance(fact.get("levels"), dict) else {}


def _reference(runs: Sequence[RunData]) -> RunData | None:
    return next((run for run in runs if _fact(run).get("is_reference")), None)


def _levels(runs: Sequence[RunData], first: RunData) -> list[Levels]:
    """Of runs of one ablation as it was planned; else what they differ in from the first."""
    facts = [_fact(run) for run in runs]
    if all(facts) and len({fact.get("id") for fact in facts}) == 1:
        return [{str(k): str(v) for k, v in fact["levels"].items()} for fact in facts]
    catalogue = load_catalogue()
    found = [
        {d.title: (str(d.before), str(d.after)) for d in differences(first.info.config, run.info.config, catalogue)
         if d.path != "seed"}
        for run in runs
    ]
    own = {title: before for one in found for title, (before, _) in one.items()}
    return [{title: one[title][1] if title in one else before for title, before in own.items()} for one in found]


# ---------------------------------------------------------------------------------------------- pairs


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two levels of two factors that were run alone and together: `effect` is what both do beyond the two by
    themselves, as a factor in per cent: (both / one) / (other / neither) - 1."""

    one: tuple[str, str]  # factor, level
    other: tuple[str, str]
    effect: Effect
    contexts: int  # how often the four were there, with other levels of the other factors

    def helps(self, metric: str) -> bool | None:
        """Whether they do better together than each promises; None where it cannot be told."""
        if not self.effect.distinguishable:
            return None
        return (self.effect.percent > 0) == (metric in MORE_IS_BETTER)


def interactions(results: Results, metric: str) -> list[Pair]:
    """Every pair whose four corners were measured, the strongest first; the intervals hold all at once."""
    found = list(_corners(results, metric))
    effects = results.contrasts(metric, [weights for *_, weights, _ in found])
    pairs = [Pair(one, other, effect, count) for (one, other, _, count), effect in zip(found, effects, strict=True)]
    known = [pair for pair in pairs if not math.isnan(pair.effect.percent)]  # else the four have no seed in common
    return sorted(known, key=lambda p: -abs(p.effect.percent))


def _corners(
    results: Results, metric: str
) -> Iterator[tuple[tuple[str, str], tuple[str, str], Weights, int]]:
    if not results.configurations:
        return
    known = [bool(one.series) and all(s.size for s in one.series) for one in results.samples(metric)]
    base, device = results.configurations[0].levels, results.configurations[0].device
    places = {tuple(sorted(c.levels.items())): i for i, c in enumerate(results.configurations)
              if known[i] and c.device == device}
    for a, b in itertools.combinations(results.factors, 2):
        together: dict[tuple[str, str], list[Levels]] = {}
        for i in places.values():
            levels = results.configurations[i].levels
            together.setdefault((levels[a], levels[b]), []).append(levels)
        for level_a, level_b in itertools.product(*(_levels_of(results, f, base) for f in (a, b))):
            corners = [
                four for levels in together.get((level_a, level_b), [])
                if (four := _four(places, levels, {a: base[a], b: base[b]}, a, b)) is not None
            ]
            if corners:
                weights: dict[int, float] = {}
                for corner in corners:
                    for i, sign in zip(corner, (1, -1, -1, 1), strict=True):
                        weights[i] = weights.get(i, 0.0) + sign / len(corners)
                yield (a, level_a), (b, level_b), weights, len(corners)


def _levels_of(results: Results, factor: str, base: Levels) -> list[str]:
    return [level for level in dict.fromkeys(c.levels[factor] for c in results.configurations) if level != base[factor]]


def _four(
    places: Mapping[tuple[tuple[str, str], ...], int], both: Mapping[str, str], base: Mapping[str, str], a: str, b: str
) -> tuple[int, int, int, int] | None:
    """Both levels, the first alone, the second alone, neither; None where one of them was not measured."""
    found = []
    for levels in (both, {**both, b: base[b]}, {**both, a: base[a]}, {**both, **base}):
        index = places.get(tuple(sorted(levels.items())))
        if index is None:
            return None
        found.append(index)
    return found[0], found[1], found[2], found[3]
