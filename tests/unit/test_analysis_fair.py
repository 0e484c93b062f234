"""How long a fair comparison takes, when it is enough, and what is remembered of it."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from scipy import stats

from tests.helpers.interleaved import made_up, write_interleaved
from tfx_workbench.analysis import fair
from tfx_workbench.analysis.compare import compare_runs, known_band
from tfx_workbench.analysis.fair import Looks, noise_of, outlook, standing
from tfx_workbench.analysis.hierarchy import Paired, half_width, paired
from tfx_workbench.analysis.precision import (
    ELSEWHERE,
    MARGIN,
    SURE,
    Pace,
    Scatter,
    f_quantile,
    half_width_percent,
    pace_before,
    rounds_needed,
    scatter_of,
)
from tfx_workbench.runs.noise import device_of, load_noise, newest_noise, save_noise
from tfx_workbench.runs.rundata import RunData


def tree(rounds):
    return [[np.log(block) for block in blocks] for blocks in rounds]


@pytest.fixture
def opened(tmp_path):
    with contextlib.ExitStack() as stack:
        yield lambda name, rounds, role="member": stack.enter_context(
            contextlib.closing(RunData(write_interleaved(tmp_path / f"{name}.tfx", rounds, role)))
        ).load()


def test_the_scatter_of_blocks_and_of_processes_is_told_apart():
    found = [scatter_of(tree(made_up(2 * i, rounds=40, blocks=10)), tree(made_up(2 * i + 1, rounds=40, blocks=10)))
             for i in range(5)]
    # Both runs of a pair scatter by 4 % between blocks and 1.5 % between processes, and steps add a little.
    assert np.mean([s.between_blocks for s in found]) == pytest.approx(math.hypot(0.04, 0.014) * math.sqrt(2), rel=0.1)
    assert np.mean([s.between_processes for s in found]) == pytest.approx(0.015 * math.sqrt(2), rel=0.25)
    assert scatter_of(tree(made_up(0, rounds=1)), tree(made_up(1, rounds=1))) is None


@pytest.mark.parametrize(("precision", "family"), [(2.0, 1), (1.0, 1), (2.0, 4)])
def test_the_rounds_that_are_foretold_reach_the_precision(precision, family):
    rounds = rounds_needed(ELSEWHERE, precision, 8, family)
    assert half_width_percent(ELSEWHERE, rounds, 8, family, SURE) <= MARGIN * precision
    assert half_width_percent(ELSEWHERE, rounds - 1, 8, family, SURE) > MARGIN * precision
    assert rounds > rounds_needed(ELSEWHERE, precision, 8, family, sure=0.0), "not every other comparison, nine of ten"


@pytest.mark.parametrize("freedom", [(19, None), (9, 4), (30, 13), (4, 2), (60, 30)])
def test_the_quantiles_of_fishers_f_are_about_those_of_scipy(freedom):
    one, other = freedom
    wanted = stats.chi2.ppf(0.9, one) / one if other is None else stats.f.ppf(0.9, one, other)
    assert f_quantile(0.9, one, other) == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize("measured", [5, 12, None])
def test_nine_of_ten_comparisons_reach_the_precision_within_what_is_asked_for(measured):
    """From the scatter of so many processes, of which the comparison has others; None: it is known."""
    rng, reached, of = np.random.default_rng(0), 0, 200
    for _ in range(of):
        scatter = Scatter(0.0, 0.03)
        if measured:
            scatter = Scatter(0.0, float(rng.normal(0, 0.03, measured).std(ddof=1)), freedom=measured - 1)
        rounds = rounds_needed(scatter, 2.0, 8)
        half = half_width(Paired(0.0, float(rng.normal(0, 0.03, rounds).std(ddof=1)) / math.sqrt(rounds), rounds - 1,
                                 np.empty(0), rounds, 8 * rounds))
        reached += 100 * math.expm1(half) <= MARGIN * 2.0
    assert 0.84 * of <= reached <= 0.97 * of


def test_what_is_foretold_comes_about():
    scatter = Scatter(0.04 * math.sqrt(2), 0.015 * math.sqrt(2))
    reached = [half_width(paired(*(tree(made_up(2 * i + j, rounds=10)) for j in (0, 1)), resamples=0))
               for i in range(40)]
    assert 100 * math.expm1(float(np.mean(reached))) == pytest.approx(half_width_percent(scatter, 10, 8), rel=0.15)


def test_time_is_foretold_from_steps_and_starts():
    pace = pace_before([100.0, 200.0], [20, 20], start_s=5.0, turn_steps=3, turn_ms=250.0)
    assert pace.block_s == pytest.approx(0.1 * 4 + 0.2 * 4)
    assert pace.seconds(3, 8) == pytest.approx(3 * 5.0 + 20 * 0.3 * 4 / 3 + 2 * 8 * 1.2)
    assert pace_before([1.0], [20], 5.0, 3, 250.0).block_s == pytest.approx(0.251)
    assert pace.rounds_within(pace.seconds(4, 8) + 0.1, 8) == 4


def test_an_outlook_says_what_minutes_allow():
    pace = Pace(start_s=5.0, block_s=1.0)
    free = outlook(2.0, pace, None, 8, 1, most_rounds=1000, minutes=None)
    cut = outlook(2.0, pace, None, 8, 1, most_rounds=1000, minutes=1.0)
    assert not free.is_cut and free.reached_percent <= 2.0 and not free.scatter.is_measured
    assert cut.is_cut and cut.seconds <= 60 and cut.reached_percent > 2.0


def test_a_comparison_is_enough_once_every_interval_is_narrow(opened):
    base = opened("base", made_up(0, rounds=8), "baseline")
    runs = [opened("control", made_up(1, rounds=8), "control"), opened("one", made_up(2, rounds=8)),
            opened("two", made_up(3, rounds=8))]
    found = standing(base, runs)
    assert len(found.effects) == 2 and found.control is not None and found.rounds == 8
    assert found.half_percent == pytest.approx(
        max((1 + e.high / 100) / (1 + e.percent / 100) - 1 for e in (*found.effects, found.control)) * 100)
    assert found.is_enough(found.half_percent / MARGIN + 0.1)
    assert not found.is_enough(found.half_percent / MARGIN - 0.1)


def test_it_is_looked_at_once_after_every_whole_round_from_the_fifth_on(opened, monkeypatch):
    runs = [opened("base", made_up(0, rounds=8), "baseline"), opened("other", made_up(1, rounds=8))]
    looked_at = []
    monkeypatch.setattr(fair, "standing", lambda base, others, whole: looked_at.append(whole) or standing(
        base, others, whole))
    looks = Looks(0.001)
    for number in range(1, 9):
        for block in range(1, 9):
            assert looks.enough(runs, {"round": number, "block": block, "blocks": 8 if number > 1 else None}) is None
    assert looked_at == [5, 6, 7, 8]
    enough = Looks(50.0).enough(runs, {"round": 6, "block": 3, "blocks": 8})
    assert enough is not None and enough.rounds == 5, "the round under way is left out"


def test_two_rounds_are_never_enough_and_nothing_measured_is_no_standing(opened):
    base = opened("base", made_up(0, rounds=2), "baseline")
    assert not standing(base, [opened("one", made_up(1, rounds=2))]).is_enough(1e9)
    empty = standing(base, [])
    assert (empty.rounds, empty.half_percent) == (0, math.inf)


def test_the_noise_of_a_machine_is_remembered_and_counts_for_runs_without_a_control(opened, tmp_path, monkeypatch):
    monkeypatch.setenv("TFX_HOME", str(tmp_path / "home"))
    device = {"device": {"kind": "cpu", "name": "A Processor"}, "threads": 2}
    base, control = opened("base", made_up(0), "baseline"), opened("control", made_up(1), "control")
    base.facts |= device
    noise = noise_of(base, control, start_s=4.0)
    assert newest_noise() is None and known_band(base) is None
    save_noise(noise)
    assert load_noise(device_of(base.facts)) == newest_noise() == noise
    assert load_noise("another") is None
    assert noise.band_percent == pytest.approx(-100 * noise.low / (100 + noise.low))
    assert known_band(base) == noise.band_percent
    (found,) = compare_runs(base, [opened("other", made_up(2))])  # asked for by nobody
    assert found.effects["step_ms"].noise_band == noise.band_percent
    (tmp_path / "home" / "noise").joinpath("x.json").write_text("{")
    assert newest_noise() == noise, "a damaged file is no reason to forget the others"
    assert noise_of(base, opened("short", made_up(3, rounds=2), "control")) is None
