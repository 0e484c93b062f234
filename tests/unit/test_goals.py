"""What is recommended for a goal, from numbers that were made up, and how long what is left will take."""

from __future__ import annotations

import pytest

from tfx_engine.protocol.experiments import Cost, Expectation, Experiment, Goal, Variant
from tfx_workbench.analysis.goals import margin, rankings
from tfx_workbench.analysis.pace import Pace
from tfx_workbench.analysis.verdict import judge

WORDS = {"format": 1, "number": "1", "title": "", "topic": "", "claim": "", "paper": "", "tests": "", "advice": ""}
PLAIN, LEAN = (100.0, 100.0, 1.0, 1.0), (50.0, 55.0, 1.5, 1.4)  # foretold and measured memory, then time


def made(figures: dict[str, tuple[float | None, ...]], seeds: int = 3, **goals: Goal):
    """An experiment of candidates and its numbers: memory was measured once, time with every seed."""
    variants = {f"{name}_{kind}": Variant(once=kind == "run") for name in figures for kind in ("run", "time")}
    goals = goals or {"lean": Goal("Lean", "memory"), "fast": Goal("Fast", "time"),
                      "both": Goal("Both", "time", within="memory", share=0.9)}  # fmt: skip
    experiment = Experiment(
        **WORDS, seconds=1, variants=variants, seeds=tuple(range(seeds)), goals=goals,
        expect=tuple(Expectation("", statistic="unbeaten", goal=goal, at_least=1) for goal in goals),
        candidates={name: (f"{name}_run", f"{name}_time") for name in figures},
        costs={"memory": Cost("m", "fm", "mm"), "time": Cost("t", "ft", "mt")},
    )
    values = {f"{name}_run": {0: {"fm": fm, "mm": mm, "ft": ft}} for name, (fm, mm, ft, _) in figures.items()}
    for name, (_, _, _, mt) in figures.items():
        values[f"{name}_time"] = {seed: {"mt": mt} for seed in range(seeds)}
    return experiment, values


def first(experiment, values) -> list[str]:
    return [ranking.standings[0].candidate for ranking in rankings(experiment, values)]


def test_candidates_are_ranked_by_what_is_foretold_and_those_that_do_not_fit_come_last():
    experiment, values = made({"plain": PLAIN, "lean": LEAN, "middle": (85.0, 84.0, 1.2, 1.2)})
    assert first(experiment, values) == ["lean", "plain", "middle"]
    both = rankings(experiment, values)[2]
    assert [(s.candidate, s.fits) for s in both.standings] == [("middle", True), ("lean", True), ("plain", False)]
    assert (both.standings[0].foretold, both.standings[0].measured) == (1.2, 1.2)


def test_a_margin_is_the_nearest_others_larger_ratio():
    experiment, values = made({"plain": PLAIN, "lean": LEAN})
    assert margin(experiment, "lean", values, 0) == pytest.approx(100 / 55)
    assert margin(experiment, "fast", values, 0) == pytest.approx(1.4)
    experiment, values = made({"plain": PLAIN, "lean": LEAN, "near": (90.0, 95.0, 1.1, 1.05)})
    assert margin(experiment, "fast", values, 0) == pytest.approx(1.05)
    beaten, values = made({"plain": PLAIN, "lean": (50.0, 55.0, 1.5, 0.9)})
    assert margin(beaten, "fast", values, 0) == pytest.approx(0.9)


def test_margins_make_the_verdict():
    experiment, values = made({"plain": PLAIN, "lean": LEAN}, fast=Goal("Fast", "time"))
    for seed, times in enumerate((1.3, 1.4, 1.45)):
        values["lean_time"][seed]["mt"] = times
    assert judge(experiment, values).verdict == "holds"
    values["lean_time"] = {seed: {"mt": 0.8 + seed / 100} for seed in range(3)}
    assert judge(experiment, values).verdict == "fails", "it takes less of both, and was not recommended"


def test_where_nothing_fits_nothing_is_recommended():
    goal = Goal("Little", "time", within="memory", share=0.3)
    experiment, values = made({"plain": PLAIN, "lean": LEAN}, little=goal)
    assert margin(experiment, "little", values, 0) is None
    assert [s.fits for s in rankings(experiment, values)[0].standings] == [False, False]


@pytest.mark.parametrize(("part", "metric"), [("plain_run", "ft"), ("plain_run", "mm"), ("lean_time", "mt")])
def test_without_a_figure_there_is_no_verdict(part, metric):
    experiment, values = made({"plain": PLAIN, "lean": LEAN}, fast=Goal("Fast", "time"))
    for each in values[part].values():
        each[metric] = None
    assert judge(experiment, values).verdict == "unmeasured"
    assert bool(rankings(experiment, values)) == (metric != "ft"), "what is foretold is enough to recommend"


def test_what_is_left_is_told_by_what_is_said_and_then_by_what_was_seen():
    now = [0.0]
    pace = Pace(lambda: now[0])
    pace.begin(1000.0)
    assert pace.left_s(1000.0) == 1000.0
    now[0] = 800.0  # 400 of them took twice as long
    assert 1100 < pace.left_s(600.0) < 1200
    assert pace.left_s(0.0) == 0.0
