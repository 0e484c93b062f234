"""How often the intervals of an ablation hold what was planted, all at once, and how wide they are.

    python -m pytest tests/bench/test_ablation.py

Two factors of two levels, with planted effects on the time of a step and on each other; 60 steps a run that scatter by
3 %. "correlated": a step passes half of its deviation on to the next. "processes differ": each run is faster or slower
as a whole by 3 %, which one run each cannot know and several seeds do. What is promised is 95 % for all three effects
at once, and for the interaction; 300 tries tell it to about 1.3 %.
"""

from __future__ import annotations

import itertools
import time
from typing import Any

from tests.helpers.planted import planted_runs
from tfx_engine.protocol.cards import load_catalogue
from tfx_workbench.analysis.ablation import MOST_RUNS, Request, make_plan
from tfx_workbench.analysis.ablation_results import interactions, results_of
from tfx_workbench.analysis.factors import parse_over
from tfx_workbench.analysis.statistics import Effect

TRIES = 300
LEAST = 0.90  # of the tries
PLANNING_S = 10.0
SQUARE = [dict(zip("ab", levels, strict=True)) for levels in itertools.product("01", repeat=2)]
PLANTED = {("a", "1"): {"step_ms": 1.2}, ("b", "1"): {"step_ms": 0.9}, (("a", "1"), ("b", "1")): {"step_ms": 0.8}}
TRUTHS = [100 * (1 / factor - 1) for factor in (0.9, 1.2, 1.2 * 0.9 * 0.8)]
TOGETHER = 100 * (1 / 0.8 - 1)
SETTINGS: dict[str, tuple[int, dict[str, Any], bool]] = {  # seeds, scatter, whether the promise holds there
    "one run each, independent steps": (1, {}, True),
    "one run each, correlated": (1, {"correlation": 0.5}, True),
    "one run each, processes differ": (1, {"between_runs": 0.03}, False),
    "five seeds, processes differ": (5, {"between_runs": 0.03}, True),
}


def holds(effect: Effect, percent: float) -> bool:
    return effect.low <= percent <= effect.high


def tried(seeds: int, scatter: dict[str, Any]) -> tuple[float, float, float]:
    """(share of tries in which all effects held, in which the interaction did, mean half-width of an effect in %)."""
    all_hold = pair_holds = 0
    width = 0.0
    for number in range(TRIES):
        runs = planted_runs(SQUARE, PLANTED, seeds, first_seed=100 * number, **scatter)  # type: ignore[arg-type]
        results = results_of(runs)
        effects = results.effects("tokens_per_s")
        all_hold += all(holds(e, truth) for e, truth in zip(effects, TRUTHS, strict=True))
        pair_holds += holds(interactions(results, "tokens_per_s")[0].effect, TOGETHER)
        width += sum(e.high - e.low for e in effects) / 2 / len(effects)
    return all_hold / TRIES, pair_holds / TRIES, width / TRIES


def test_intervals_hold_what_was_planted() -> None:
    print(f"\n{'':34}  all three effects  interaction  half-width")
    for name, (seeds, scatter, promised) in SETTINGS.items():
        effects, pair, width = tried(seeds, scatter)
        print(f"{name:34}  {effects:17.1%}  {pair:11.1%}  {width:8.2f} %{'' if promised else '  (not promised)'}")
        assert not promised or (effects >= LEAST and pair >= LEAST), name


def test_a_thousand_runs_are_planned_while_somebody_waits() -> None:
    catalogue = load_catalogue()
    texts = ("position=rotary,alibi,learned", "norm=rms_norm,dynamic_tanh", "recompute=every_block,selective",
             "optimizer=sgd,lion,muon,adafactor", "model.layers=2,3,4,5")  # fmt: skip
    base = {"model": {"width": 64, "layers": 6}}
    start = time.process_time()
    plan = make_plan(Request(base, "factorial", tuple(parse_over(t, catalogue) for t in texts)))
    took = time.process_time() - start
    print(f"\n{len(plan.cells)} runs planned, {len(plan.skipped)} skipped: {took:.2f} s of processor time")
    assert 700 <= len(plan.cells) + len(plan.skipped) <= MOST_RUNS and took < PLANNING_S
