"""The rounds of an interleaved comparison as its run files have them: which steps belong beside which.

A run that is part of one has the fact `comparison`: {plan, role, control, ...} (`protocol.interleaving`). Its measured
steps carry round and block, both from 1 on; a round is one process of every run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfx_engine.protocol.taint import NEVER
from tfx_workbench.analysis.hierarchy import Paired, Tree, paired
from tfx_workbench.runs.interval import Floats
from tfx_workbench.runs.rundata import RunData

INTERLEAVED = "interleaved"
CONTROL = "control"
Place = tuple[int, int]  # round, block
Blocks = Mapping[Place, Mapping[str, Floats]]  # of each block the logarithms of its steps' measurements


def role(run: RunData) -> str:
    """baseline, control or member of an interleaved comparison; empty where the run is part of none."""
    fact = run.facts.get("comparison")
    return str(fact.get("role", "")) if isinstance(fact, dict) and fact.get("plan") == INTERLEAVED else ""


def are_interleaved(one: RunData, other: RunData) -> bool:
    """Whether two runs were measured in turns of one comparison."""
    is_one_comparison = bool(one.info.comparison) and one.info.comparison == other.info.comparison
    return is_one_comparison and bool(role(one) and role(other))


def blocks_of(run: RunData) -> dict[Place, dict[str, Floats]]:
    """The logarithms of `step_ms` and `tokens_per_s` of the steps of each block.

    Left out is what never counts (`taint.NEVER`), and the first turn of every process, which is block 0.
    Disturbances from outside stay: they are why runs are interleaved.
    """
    return _blocks(run.turns())


def _blocks(rows: Mapping[str, Any]) -> dict[Place, dict[str, Floats]]:
    kept = np.array([taint not in NEVER for taint in rows["taint"]], dtype=np.bool_)
    kept &= (rows["step_ms"] > 0) & (rows["block"] > 0)
    if not kept.any():
        return {}
    places = np.stack([rows["round"], rows["block"]], axis=1)[kept]
    step, tokens = np.log(rows["step_ms"][kept]), np.log(np.maximum(rows["tokens"][kept], 1))
    order = np.lexsort((np.arange(len(places)), places[:, 1], places[:, 0]))
    places, step, tokens = places[order], step[order], tokens[order]
    cuts = np.flatnonzero(np.any(np.diff(places, axis=0), axis=1)) + 1
    return {
        (int(where[0][0]), int(where[0][1])): {"step_ms": ms, "tokens_per_s": count - ms}
        for where, ms, count in zip(np.split(places, cuts), np.split(step, cuts), np.split(tokens, cuts), strict=True)
    }


def pair_blocks(
    baseline: Blocks, other: Blocks, metric: str, seed: int = 0, resamples: int = 1000
) -> Paired | None:
    """The difference over the blocks that both have; None where they have none in common."""
    trees = common(baseline, other, metric)
    return paired(*trees, seed=seed, resamples=resamples) if trees[0] else None


def common(baseline: Blocks, other: Blocks, metric: str) -> tuple[Tree, Tree]:
    """The steps of the blocks that both have, by round and block."""
    places = sorted(baseline.keys() & other.keys())
    one, two = (tree_of({place: found[place][metric] for place in places}, places) for found in (baseline, other))
    return one, two


def tree_of(blocks: Mapping[Place, Floats], places: Sequence[Place]) -> Tree:
    """The steps of the blocks at these places, which are in order, by round."""
    rounds = dict.fromkeys(place[0] for place in places)
    return [[blocks[place] for place in places if place[0] == number] for number in rounds]
