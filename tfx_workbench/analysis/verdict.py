"""Whether a claim holds here: what was measured, held against what its experiment expects.

Each seed gives one number for an expectation; their mean has a 95 % interval by Student's t, since a handful of seeds
is too few to resample. A claim has a direction and a size. It *holds* where the whole interval lies beyond what no
effect would be (`null`) and the mean reaches the expected size; it *does not hold* where the whole interval falls
short of that size; between the two it is *not distinguishable*, and more seeds would be needed. Counts of what has no
scatter are exact: each of their values must be as expected, and the first one says it. No correction is made for
several expectations: all of an experiment's must hold, which makes a false "holds" rarer, not more frequent.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from tfx_engine.protocol.experiments import Expectation, Experiment
from tfx_workbench.analysis.comparable import OTHER_DEVICE, OTHER_TASK, is_of_a_device, is_of_a_task, task_in
from tfx_workbench.analysis.goals import Values, margin

Verdict = Literal["holds", "fails", "unclear", "unmeasured"]
Devices = Mapping[str, Mapping[int, str]]  # variant -> seed -> device, "" where it is not known
# Student's t, 97.5 %, for 1 ... 30 degrees of freedom; beyond them the normal is close enough.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
      2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Finding:
    """What came of one expectation. `of` and `to`: the means of the two variants that it is about, where it has them.

    `low` and `high` are None where there is no interval; of an exact one they are the smallest and largest value.
    """

    verdict: Verdict
    value: float | None = None
    low: float | None = None
    high: float | None = None
    of: float | None = None
    to: float | None = None
    seeds: int = 0
    reason: str = ""  # why its numbers are not compared


@dataclasses.dataclass(frozen=True)
class Judgement:
    """What came of an experiment: it holds where all of its expectations do."""

    verdict: Verdict
    findings: tuple[Finding, ...]


def judge(experiment: Experiment, values: Values, devices: Devices | None = None) -> Judgement:
    """Judge an experiment by whatever was measured of it so far; `devices`: on which, where that is known."""
    findings = tuple(
        Finding("unmeasured", reason=why) if (why := _why_not(experiment, expectation, devices or {})) else
        _judge_one(experiment, expectation, values) for expectation in experiment.expect
    )
    verdicts = {finding.verdict for finding in findings}
    order: tuple[Verdict, ...] = ("fails", "unmeasured", "unclear", "holds")
    return Judgement(next((v for v in order if v in verdicts), "unmeasured"), findings)


def _why_not(experiment: Experiment, e: Expectation, devices: Devices) -> str:
    """Why the numbers of an expectation cannot be set beside each other; by the rule for all runs (`comparable`)."""
    names = experiment.needed_by(e)
    metrics = [cost.measured for cost in experiment.costs.values()] if e.statistic == "unbeaten" else [e.metric]
    used = {device for name in names for device in devices.get(name, {}).values() if device}
    if any(map(is_of_a_device, metrics)) and len(used) > 1:
        return OTHER_DEVICE
    tasks = {task_in(experiment.config_of(name, 0)) for name in names}
    return OTHER_TASK if any(map(is_of_a_task, metrics)) and len(tasks) > 1 else ""


def _judge_one(experiment: Experiment, expectation: Expectation, values: Values) -> Finding:
    """A number that is not there, or is none, leaves its expectation unmeasured."""
    several = [seeds for name in experiment.needed_by(expectation) if len(seeds := experiment.seeds_of(name)) > 1]
    numbers = [_statistic(experiment, expectation, values, seed) for seed in (several or [experiment.seeds])[0]]
    found = [number for number in numbers if number is not None and math.isfinite(number)]
    if not found or (len(found) < len(numbers) and not expectation.exact):
        return Finding("unmeasured")
    value = math.fsum(found) / len(found)
    of, to = (_mean(experiment, name, expectation.metric, values) for name in (expectation.of, expectation.to))
    if expectation.exact:
        holds = all(_reaches(expectation, number) for number in found)
        return Finding("holds" if holds else "fails", value, min(found), max(found), of, to, len(found))
    half = _half_width(found)
    if half is None:
        return Finding("unclear", value, None, None, of, to, len(found))
    low, high = value - half, value + half
    if expectation.metric == "accuracy" and expectation.statistic == "value":  # Student's t does not know its bounds
        low, high = max(low, 0.0), min(high, 1.0)
    return Finding(_verdict(expectation, value, low, high), value, low, high, of, to, len(found))


def _statistic(experiment: Experiment, e: Expectation, values: Values, seed: int) -> float | None:
    """The number of one seed; None where something of it is missing."""
    if e.statistic == "unbeaten":
        return margin(experiment, e.goal, values, seed)
    found: dict[str, float] = {}
    for name in e.variants:
        own_seed = seed if seed in experiment.seeds_of(name) else experiment.seeds_of(name)[0]
        number = values.get(name, {}).get(own_seed, {}).get(e.metric)
        if number is None:
            return None
        found[name] = number
    along = [found[name] for name in e.over]
    try:
        match e.statistic:
            case "value":
                return found[e.of]
            case "difference":
                return found[e.of] - found[e.to]
            case "ratio":
                return found[e.of] / found[e.to]
            case "share":
                return (found[e.from_] - found[e.of]) / (found[e.from_] - found[e.to])
            case "slope":
                return _slope([experiment.variants[name].x or 0.0 for name in e.over], along)
            case "least_fall":
                return min(before - after for before, after in itertools.pairwise(along))
    except (ZeroDivisionError, ValueError):  # a logarithm of what is not above 0
        return None


def _slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Least squares through the logarithms."""
    log_x, log_y = [math.log(value) for value in x], [math.log(value) for value in y]
    middle_x, middle_y = math.fsum(log_x) / len(log_x), math.fsum(log_y) / len(log_y)
    above = math.fsum((a - middle_x) * (b - middle_y) for a, b in zip(log_x, log_y, strict=True))
    return above / math.fsum((a - middle_x) ** 2 for a in log_x)


def _half_width(values: Sequence[float]) -> float | None:
    count = len(values)
    if count < 2:
        return None
    mean = math.fsum(values) / count
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    return (_T[count - 2] if count - 2 < len(_T) else 1.96) * deviation / math.sqrt(count)


def _reaches(e: Expectation, value: float) -> bool:
    return (e.at_least is None or value >= e.at_least) and (e.at_most is None or value <= e.at_most)


def _verdict(e: Expectation, value: float, low: float, high: float) -> Verdict:
    """By the rule above; of a range, the whole interval must lie within it."""
    if (e.at_least is not None and high < e.at_least) or (e.at_most is not None and low > e.at_most):
        return "fails"
    if e.at_least is not None and e.at_most is not None:
        beyond = low >= e.at_least and high <= e.at_most
    elif e.at_least is not None:
        beyond = low > min(e.at_least, _nothing(e, e.at_least))
    else:
        assert e.at_most is not None
        beyond = high < max(e.at_most, _nothing(e, e.at_most))
    return "holds" if beyond and _reaches(e, value) else "unclear"


def _nothing(e: Expectation, bound: float) -> float:
    """What no effect would be: as the experiment says, else 0 of a difference, 1 of a ratio; of a value its bound."""
    usual = {"value": bound, "ratio": 1.0, "unbeaten": 1.0}.get(e.statistic, 0.0)
    return usual if e.null is None else e.null


def _mean(experiment: Experiment, name: str, metric: str, values: Values) -> float | None:
    if not name:
        return None
    numbers = [values.get(name, {}).get(seed, {}).get(metric) for seed in experiment.seeds_of(name)]
    known = [number for number in numbers if number is not None]
    return math.fsum(known) / len(known) if known else None
