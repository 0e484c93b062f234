"""What an ablation found: planted effects and interactions lie within their intervals, and nothing else is found."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.interleaved import made_up, write_interleaved
from tests.helpers.planted import planted_run, planted_runs
from tests.helpers.synthetic_run import write_five
from tfx_workbench.analysis.ablation import FACT
from tfx_workbench.analysis.ablation_results import interactions, results_of
from tfx_workbench.analysis.compare import compare_runs
from tfx_workbench.analysis.contrasts import contrasts, sample
from tfx_workbench.analysis.pareto import front
from tfx_workbench.runs.rundata import RunData

A, B, C = ("a", "1"), ("b", "1"), ("c", "1")
SQUARE = [dict(zip("ab", levels, strict=True)) for levels in itertools.product("01", repeat=2)]
CUBE = [dict(zip("abc", levels, strict=True)) for levels in itertools.product("01", repeat=3)]
PLANTED = {A: {"step_ms": 1.2, "peak_bytes": 0.5}, B: {"step_ms": 0.9, "loss": 0.95},
           (A, B): {"step_ms": 0.8, "peak_bytes": 1.5}}  # fmt: skip
SPEED_INTERACTION = 100 * (1 / 0.8 - 1)


def holds(effect, percent):
    return effect.low <= percent <= effect.high


def test_planted_effects_lie_within_their_intervals():
    results = results_of(planted_runs(SQUARE, PLANTED))
    b, a, both = results.effects("tokens_per_s")
    truths = [100 * (1 / factor - 1) for factor in (0.9, 1.2, 1.2 * 0.9 * 0.8)]
    assert all(holds(e, truth) and e.distinguishable for e, truth in zip((b, a, both), truths, strict=True))
    assert all(e.corrected and e.family == 3 for e in (a, b, both))
    memory = results.effects("peak_bytes")
    assert [e.percent for e in memory] == pytest.approx([0.0, -50.0, -25.0])
    assert [e.distinguishable for e in memory] == [False, True, True] and memory[1].low == memory[1].high


def test_a_planted_interaction_is_found_and_helps():
    results = results_of(planted_runs(SQUARE, PLANTED, first_seed=1))
    (speed,) = interactions(results, "tokens_per_s")
    assert (speed.one, speed.other) == (A, B) and speed.contexts == 1
    assert holds(speed.effect, SPEED_INTERACTION) and speed.helps("tokens_per_s") is True
    (memory,) = interactions(results, "peak_bytes")
    assert memory.effect.percent == pytest.approx(50.0) and memory.helps("peak_bytes") is False


def test_intervals_hold_what_was_planted_as_often_as_they_say():
    found = [interactions(results_of(planted_runs(SQUARE, PLANTED, first_seed=s)), "tokens_per_s")[0].effect
             for s in range(100)]
    assert sum(holds(effect, SPEED_INTERACTION) for effect in found) >= 90


def test_where_nothing_was_planted_nothing_is_found():
    kept = 0
    for seed in range(60):
        results = results_of(planted_runs(CUBE, {}, first_seed=seed))
        pairs = interactions(results, "tokens_per_s")
        assert len(pairs) == 3 and all(pair.contexts == 2 for pair in pairs)
        kept += not any(pair.effect.distinguishable for pair in pairs)
    assert kept >= 54, "all three at once in 95 % of cases"


def test_a_factorial_uses_every_context_and_so_knows_more():
    small = interactions(results_of(planted_runs(SQUARE, PLANTED)), "tokens_per_s")[0].effect
    pairs = interactions(results_of(planted_runs(CUBE, PLANTED)), "tokens_per_s")
    cube = next(pair for pair in pairs if {pair.one, pair.other} == {A, B})
    assert cube.contexts == 2 and holds(cube.effect, SPEED_INTERACTION)
    assert cube.effect.high - cube.effect.low < small.high - small.low


def test_seeds_give_the_loss_an_interval_and_one_seed_does_not():
    (b, *_) = results_of(planted_runs(SQUARE, PLANTED, seeds=5)).effects("loss")
    assert holds(b, -5.0) and b.distinguishable and "seeds" in str(b.method)
    (alone, *_) = results_of(planted_runs(SQUARE, PLANTED)).effects("loss")
    assert alone.distinguishable is None and math.isnan(alone.low) and alone.percent == pytest.approx(-5, abs=1)


def test_seeds_cover_what_differs_between_processes():
    """One run each is sure of a difference that a restart makes; several seeds are not."""
    levels = SQUARE[:2]
    wrong = {1: 0, 6: 0}
    for seeds in wrong:
        for first in range(0, 400, 10):
            runs = planted_runs(levels, {}, seeds=seeds, first_seed=first, between_runs=0.05, scatter=0.01)
            wrong[seeds] += results_of(runs).effects("tokens_per_s")[0].distinguishable is True
    assert wrong[1] > 20 > 6 > wrong[6]


def test_runs_that_failed_are_no_measurements():
    runs = planted_runs(SQUARE, PLANTED)
    runs[-1] = planted_run(SQUARE[-1], PLANTED, status="failed")
    results = results_of(runs)
    assert len(results.configurations) == 4 and results.configurations[-1].ended == ()
    effects = results.effects("tokens_per_s")
    assert effects[0].distinguishable and effects[-1].distinguishable is None
    assert interactions(results, "tokens_per_s") == []


def test_the_reference_of_the_ablation_comes_first_whatever_the_order():
    runs = planted_runs(SQUARE, PLANTED)
    results = results_of(runs[::-1], baseline=runs[2])
    assert results.configurations[0].levels == SQUARE[0]


def test_any_runs_are_an_ablation_of_what_they_differ_in(tmp_path):
    runs = [RunData(path).load() for path in write_five(tmp_path, steps=20, layers=2, heads=2, context=16, width=16)]
    results = results_of(runs, runs[0])
    assert len(results.configurations) == 5 and set(results.factors) == {
        "Recompute", "Adapter", "Norm placement", "Precision"}
    own = results.configurations[0].levels
    assert own == {"Recompute": "No recompute", "Adapter": "Train everything", "Norm placement": "Pre-norm",
                   "Precision": "float32"}  # fmt: skip
    assert interactions(results, "tokens_per_s") == []
    assert results_of([]).configurations == ()


def test_a_single_value_or_none_has_no_interval():
    one, none = sample([[5.0]]), sample([None])
    found = contrasts([one, sample([[6.0]]), none], [{1: 1, 0: -1}, {2: 1, 0: -1}])
    assert found[0].percent == pytest.approx(20) and found[0].distinguishable is None
    assert math.isnan(found[1].percent) and found[1].distinguishable is None


def test_a_seed_that_one_configuration_lacks_is_left_out_of_the_pairs():
    """What a seed does to all alike cancels only where the same seeds are beside each other."""
    base = sample([[1.0], [2.0], [3.0]], seeds=(0, 1, 2))
    lacking = sample([[1.1], [], [3.31]], seeds=(0, 1, 2))
    failed = sample([[1.1], [3.31]], seeds=(0, 2))
    for other in (lacking, failed):
        (found,) = contrasts([base, other], [{1: 1, 0: -1}])
        assert found.percent == pytest.approx(100 * math.expm1((math.log(1.1) + math.log(3.31 / 3)) / 2))
        assert found.high - found.low < 5 and "over 2 seeds" in str(found.method)
    (back,) = contrasts([failed, base], [{1: 1, 0: -1}])
    assert back.percent == pytest.approx(-9.2, abs=0.1) and back.distinguishable
    (one,) = contrasts([base, sample([[4.0]], seeds=(1,))], [{1: 1, 0: -1}])
    assert one.percent == pytest.approx(100) and one.distinguishable is None
    (none,) = contrasts([base, sample([[4.0]], seeds=(7,))], [{1: 1, 0: -1}])
    assert math.isnan(none.percent)


def test_runs_are_paired_by_the_seeds_of_their_configurations():
    runs = planted_runs(SQUARE[:2], PLANTED, seeds=3)
    del runs[4]  # the second configuration's seed 1
    found = results_of(runs).effects("loss")[0]
    assert found.percent == pytest.approx(-5, abs=0.5)
    assert found.high - found.low < 4 and "over 2 seeds" in str(found.method)
    assert [one.seeds for one in results_of(runs).samples("step_ms")] == [(0, 1, 2), (0, 2)]


def test_of_several_runs_with_one_seed_the_newest_measured_counts():
    """A run that was done again is no second seed."""
    base, other, *_ = planted_runs(SQUARE[:2], PLANTED)
    base_again, failed = (planted_run(SQUARE[0], {}, reference=True, created_at=at, status=status)
                          for at, status in (("2026-01-02", "finished"), ("2026-01-03", "failed")))  # fmt: skip
    other_again = planted_run(SQUARE[1], PLANTED, created_at="2026-01-02")
    results = results_of([base_again, base, failed, other_again, other])
    assert [c.runs for c in results.configurations] == [(base_again,), (other_again,)]
    (found,) = results.effects("step_ms")
    assert "seeds" not in str(found.method) and results.effects("loss")[0].distinguishable is None


def test_runs_of_another_device_are_a_configuration_of_their_own():
    runs = [planted_run(SQUARE[i], PLANTED, seed=seed, reference=not i, device=device)
            for i, device in ((0, "A"), (1, "A"), (0, "B"), (1, "B")) for seed in range(2)]
    waiting = planted_run(SQUARE[1], PLANTED, seed=2, status="queued")
    results = results_of([*runs, waiting])
    assert [(c.device, len(c.runs)) for c in results.configurations] == [
        ("cuda A", 2), ("cuda A", 3), ("cuda B", 2), ("cuda B", 2)]
    assert results.mixes_devices and not results_of([*runs[:4], waiting]).mixes_devices


POINTS = st.lists(st.tuples(*(st.one_of(st.integers(0, 5).map(float), st.just(math.nan)),) * 3), max_size=12)


@settings(max_examples=50)
@given(POINTS)
def test_the_front_is_what_nothing_beats(points):
    signs = (-1, 1, -1)
    on_front = front(points, signs)
    values = [np.array(signs) * np.array(point) for point in points]
    for i, mine in enumerate(values):
        beaten = any(np.all(other >= mine) and np.any(other > mine) for other in values if np.isfinite(other).all())
        assert on_front[i] == (bool(np.isfinite(mine).all()) and not beaten)


def test_losses_of_different_tasks_have_no_difference():
    runs = planted_runs(SQUARE[:2], PLANTED, seeds=3)
    for run in runs[3:]:
        run.info.config["data"] = {"task": "digits"}
    results = results_of(runs)
    assert results.mixes_tasks and results.effects("loss")[0].distinguishable is None
    assert results.effects("tokens_per_s")[0].distinguishable is None, "other data are other work"
    assert results.effects("peak_bytes")[0].distinguishable is not None


def test_speed_on_another_device_has_no_difference_and_is_in_no_family():
    runs = planted_runs(SQUARE[:3], PLANTED, seeds=3)
    for i, run in enumerate(runs):
        run.facts["device"] = {"kind": "cuda", "name": "two" if i >= 6 else "one"}
    same, other = results_of(runs).effects("tokens_per_s")
    assert same.distinguishable is not None and same.family == 1
    assert other.distinguishable is None and math.isnan(other.percent)


@pytest.fixture
def square(tmp_path):
    """A factorial of two whose runs took turns: alone each takes 10 % longer, together 9.5 % more than the product."""
    with contextlib.ExitStack() as stack:
        runs = []
        for i, (levels, factor) in enumerate(zip(SQUARE, (1.0, 1.1, 1.1, 1.21 * 1.095), strict=True)):
            path = write_interleaved(tmp_path / f"{i}.tfx", made_up(i, factor, rounds=8), "member" if i else "baseline")
            runs.append(stack.enter_context(contextlib.closing(RunData(path))).load())
            runs[-1].facts |= {FACT: {"id": "x", "levels": dict(levels), "is_reference": not i}}
        yield runs


def test_an_interaction_of_runs_that_took_turns_comes_from_their_rounds(square):
    (pair,) = interactions(results_of(square), "step_ms")
    assert "interleaved: mean of 8 processes with 64 blocks" in str(pair.effect.method)
    assert holds(pair.effect, 9.5) and pair.effect.distinguishable
    assert pair.effect.high - pair.effect.low < 12, "the drift of 30 % over the comparison is not in it"
    for run in square:
        run.info = dataclasses.replace(run.info, comparison="")
    (alone,) = interactions(results_of(square), "step_ms")
    assert "drift" in str(alone.effect.method), "without turns it is that of the first process alone"


def test_an_interaction_within_the_noise_of_four_equal_runs_is_not_told_apart(square):
    (wide,) = interactions(results_of(square, band=9.0), "step_ms")
    assert wide.effect.noise_band == pytest.approx(9 * math.sqrt(2)) and wide.helps("step_ms") is None
    (narrow,) = interactions(results_of(square, band=1.0), "step_ms")
    assert narrow.helps("step_ms") is False, "more time is worse"


def test_runs_of_which_some_took_turns_are_one_family_with_one_correction(tmp_path, square):
    """Two took turns with the first, one other was measured by itself."""
    path = write_interleaved(tmp_path / "alone.tfx", made_up(9, 1.05, rounds=1), comparison="")
    with contextlib.closing(RunData(path)) as other:
        other.load().facts |= {FACT: {"id": "x", "levels": {"a": "0", "b": "2"}}}
        runs = [*square[:3], other]
        of_table = results_of(runs).effects("step_ms")
        of_compare = [one.effects["step_ms"] for one in compare_runs(square[0], runs[1:])]
    assert {effect.family for effect in of_table} == {3} and all(effect.corrected for effect in of_table)
    assert [("interleaved" in str(e.method), "drift" in str(e.method)) for e in of_table] == [
        (True, False), (True, False), (False, True)]
    assert of_compare == of_table, "the table and the comparison say the same of the same runs"
    (by_itself,) = results_of([square[0], square[1]]).effects("step_ms")
    assert of_table[0].high - of_table[0].low > 1.1 * (by_itself.high - by_itself.low), "2.4 standard errors, not 2"


def test_what_is_said_of_a_pair_does_not_depend_on_the_order_of_the_others(square):
    found = {run.path: effect for run, effect in zip(
        square[1:], (one.effects["step_ms"] for one in compare_runs(square[0], square[1:])), strict=True)}
    other = {run.path: effect for run, effect in zip(
        square[:0:-1], (one.effects["step_ms"] for one in compare_runs(square[0], square[:0:-1])), strict=True)}
    assert found == other


def test_runs_that_took_turns_are_compared_block_by_block(tmp_path):
    paths = [write_interleaved(tmp_path / f"{role}.tfx", made_up(i, factor), role, name=name)
             for i, (role, name, factor) in enumerate((("baseline", "base", 1.0), ("control", "base", 1.0),
                                                       ("member", "slow", 1.3)))]  # fmt: skip
    runs = [RunData(path).load() for path in paths]
    runs[2].info.config["techniques"]["norm"]["use"] = "rms_norm"
    (found,) = results_of(runs, runs[0]).effects("step_ms")
    assert "interleaved" in str(found.method) and found.noise_band is not None
    assert holds(found, 30.0) and found.distinguishable
    results = results_of(runs, runs[1])
    assert [c.runs for c in results.configurations] == [(runs[0],), (runs[2],)], "the control is no seed"
    assert results.controls == (runs[1],)
