"""What to choose for a goal: candidates ranked by what is foretold of them, held against what was measured.

A goal asks for the least of one cost (memory, time), of those candidates whose other cost stays within a share of the
largest. The ranking is made of foretold costs alone, as it would be by somebody who has measured nothing yet. Whether
it was good advice is seen afterwards: no candidate must beat the recommended one on every cost.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from tfx_engine.protocol.experiments import Cost, Experiment, Goal

Values = Mapping[str, Mapping[int, Mapping[str, float | None]]]  # variant -> seed -> metric -> value


@dataclasses.dataclass(frozen=True)
class Standing:
    """A candidate's place for one goal: the cost that the goal asks for. `fits`: whether it is within the limit."""

    candidate: str
    foretold: float
    measured: float | None
    fits: bool


@dataclasses.dataclass(frozen=True)
class Ranking:
    """The candidates for one goal, the recommended one first; those beyond its limit last."""

    goal: Goal
    cost: Cost
    standings: tuple[Standing, ...]


def rankings(experiment: Experiment, values: Values) -> tuple[Ranking, ...]:
    """All goals of an experiment of which every candidate's costs were foretold."""
    found = []
    for goal in experiment.goals.values():
        cost = experiment.costs[goal.least]
        order = _order(experiment, goal, values)
        standings = [Standing(name, foretold, _figure(experiment, name, cost.measured, values), fits)
                     for name, foretold, fits in order]  # fmt: skip
        if standings:
            found.append(Ranking(goal, cost, tuple(standings)))
    return tuple(found)


def ranking_as_data(ranking: Ranking) -> dict[str, Any]:
    """A ranking for JSON."""
    return {"goal": ranking.goal.title, "cost": ranking.cost.measured,
            "standings": [dataclasses.asdict(each) for each in ranking.standings]}  # fmt: skip


def margin(experiment: Experiment, goal: str, values: Values, seed: int) -> float | None:
    """How far the recommended candidate is from being beaten: above 1 nobody costs less in everything.

    For each other candidate it is the larger of the ratios of its measured costs to those of the recommended one; the
    smallest of them counts. None where something was not measured, or nothing fits.
    """
    order = _order(experiment, experiment.goals[goal], values)
    if not order or not order[0][2]:
        return None
    best, ratios = order[0][0], []
    for name in experiment.candidates:
        pairs = [(_figure(experiment, name, cost.measured, values, seed),
                  _figure(experiment, best, cost.measured, values, seed)) for cost in experiment.costs.values()]
        if any(a is None or not b for a, b in pairs):
            return None
        if name != best:
            ratios.append(max(a / b for a, b in pairs if a is not None and b))
    return min(ratios)


def _order(experiment: Experiment, goal: Goal, values: Values) -> list[tuple[str, float, bool]]:
    """(candidate, foretold cost, whether it fits), the recommended one first; empty where something is not foretold."""
    costs = {name: {cost: _figure(experiment, name, experiment.costs[cost].foretold, values)
                    for cost in filter(None, (goal.least, goal.within))} for name in experiment.candidates}  # fmt: skip
    known = {name: {cost: v for cost, v in each.items() if v is not None} for name, each in costs.items()}
    if any(len(known[name]) < len(costs[name]) for name in costs):
        return []
    most = max((each[goal.within] for each in known.values()), default=0.0) if goal.within else math.inf
    rows = [(name, each[goal.least], not goal.within or each[goal.within] <= goal.share * most)
            for name, each in known.items()]  # fmt: skip
    return sorted(rows, key=lambda row: (not row[2], row[1]))


def _figure(
    experiment: Experiment, candidate: str, metric: str, values: Values, seed: int | None = None
) -> float | None:
    """The mean over seeds, or that of one seed; of what was measured once, that."""
    for variant in experiment.candidates[candidate]:
        seeds = experiment.seeds_of(variant)
        wanted = seeds if seed is None else (seed if seed in seeds else seeds[0],)
        numbers = [values.get(variant, {}).get(each, {}).get(metric) for each in wanted]
        known = [number for number in numbers if number is not None]
        if known:
            return math.fsum(known) / len(known)
    return None
