"""What measuring costs: steps with and without probes in turn, what is captured between them, and the user's budget."""

from __future__ import annotations

import random

import pytest

from tests.helpers.training import ListRecorder
from tfx_engine.measure.budget import Budget
from tfx_engine.measure.overhead import Overhead, is_turn_without, median_bounds, summary
from tfx_engine.measure.readout import StepReading
from tfx_engine.protocol.config import Run
from tfx_engine.train.costs import Costs

STEP_MS = 100.0


def readings(count, cost_ms, timed_ms=None, drift=0.0, noise=0.0, tainted=(), captured_ms=None, comparisons=0):
    """Measured steps whose probes cost `cost_ms`; `captured_ms`: step -> what a capture right after it takes."""
    rng, at_ms, all_captured_ms, made = random.Random(0), 0.0, 0.0, []
    for step in range(1, count + 1):
        probed = not is_turn_without(step, comparisons)
        step_ms = STEP_MS * (1 + drift * step) * (1 + noise * rng.gauss(0, 1)) + cost_ms * probed
        at_ms += step_ms
        reading = StepReading(step, "measure", 1, mark=None, probed=probed, probe_ms=timed_ms if probed else None)
        reading.step_ms, reading.t_ms, reading.captured_ms = step_ms, at_ms, all_captured_ms
        reading.taint = "memory probe" if step in tainted else None
        after_ms = (captured_ms or {}).get(step, 0.0)
        at_ms, all_captured_ms = at_ms + after_ms, all_captured_ms + after_ms
        made.append(reading)
    return made


def overhead_of(*args, host_waits=False, **kwargs):
    overhead = Overhead(host_waits)
    overhead.add(readings(*args, **kwargs))
    return overhead


def test_steps_in_turn_find_what_probes_cost_also_on_a_machine_that_slows_down():
    cost = overhead_of(90, cost_ms=2.0, drift=0.01).cost()
    assert cost.percent == pytest.approx(1.4, abs=0.6) and cost.low <= cost.turns <= cost.high
    assert cost.comparisons == 29 and cost.timed is None
    assert overhead_of(90, cost_ms=2.0).cost().percent == pytest.approx(2.0)


def test_the_interval_holds_the_truth_where_steps_are_noisy():
    cost = overhead_of(190, cost_ms=3.0, noise=0.02).cost()
    assert cost.low < 3.0 < cost.high and 0 < cost.high - cost.low < 3


def test_the_time_in_the_probes_counts_where_the_turns_do_not_contradict_it():
    noisy = overhead_of(30, cost_ms=1.0, timed_ms=1.0, noise=0.1).cost()
    assert noisy.percent == noisy.timed == pytest.approx(1.0, rel=0.3)
    hidden = overhead_of(90, cost_ms=4.0, timed_ms=1.0).cost()  # what probes cost outside themselves
    assert hidden.percent == hidden.turns == pytest.approx(4.0)


def test_a_step_with_something_beside_it_is_compared_with_none():
    assert overhead_of(12, cost_ms=2.0).comparisons == 3
    spoilt = overhead_of(12, cost_ms=2.0, tainted={2}, captured_ms={6: 500.0})
    assert spoilt.comparisons == 1 and spoilt.cost().percent == pytest.approx(2.0)
    waiting = overhead_of(12, cost_ms=2.0, captured_ms={4: 500.0, 6: 500.0}, host_waits=True)  # there its time is known
    assert waiting.comparisons == 3 and waiting.cost().low is None
    assert waiting.cost().percent == pytest.approx(2.0) and max(waiting._percents) == pytest.approx(2.0)


def test_nothing_is_said_of_steps_that_cannot_be_compared():
    overhead = overhead_of(2, cost_ms=2.0)
    assert overhead.cost().percent is None and summary(overhead, {}, 1.0, 1.0) is None


def test_captures_come_on_top():
    overhead = overhead_of(90, cost_ms=2.0)
    found = summary(overhead, {"attention": 0.5, "memory": 0.5}, 101.0, 1.0)
    assert found["captures_percent"] == {"attention": 0.5, "memory": 0.5}
    assert found["percent"] == pytest.approx(2.0 * 60 / 90 + 1.0)


@pytest.mark.parametrize(("count", "low", "high"), [(5, None, None), (6, 0, 5), (10, 1, 8), (100, 39, 60)])
def test_the_bounds_of_a_median_are_those_of_the_sign_test(count, low, high):
    values = list(range(count))
    random.Random(1).shuffle(values)
    assert median_bounds(values) == (low, high)


def test_fewer_steps_go_without_once_the_cost_is_known():
    assert [s for s in range(1, 40) if is_turn_without(s, 64)] == [2, 18, 34]


@pytest.mark.parametrize("percent", [1.0, 4.0])
def test_probes_within_steps_thin_themselves_to_the_budget(percent):
    hands = [0.0]
    run = Run(measure_steps=2000, probe_budget_percent=percent)
    budget = Budget(run, lambda: hands[0])
    budget.begin(0.1)
    costs = Costs(run, budget, recorder=None, host_waits=True)
    reading, spent = StepReading(1, "measure", 1, mark=None, probed=True, probe_ms=20.0), 0.0
    for step in range(1, 2001):
        if costs.next_has_probes(step):
            costs.step_had_probes(reading)
            spent += 0.02
            hands[0] += 0.02
        hands[0] += 0.1
        budget.step_done()
    allowed = percent / 100 * hands[0]  # all of it, as nothing else wants any
    assert 0.9 * allowed < spent <= allowed + 0.02


def warm_reading(probe_ms):
    reading = StepReading(1, "warmup", 1, mark=None, probed=True, probe_ms=probe_ms)
    reading.step_ms = reading.t_ms = STEP_MS
    return reading


def test_what_the_warm_up_says_of_the_cost_counts_from_the_first_measured_step():
    run = Run(measure_steps=60)
    budget = Budget(run, lambda: 0.0)
    costs = Costs(run, budget, ListRecorder(), host_waits=False)
    costs.add([warm_reading(90.0), warm_reading(7.0)])
    budget.begin(0.1)
    probed = []
    for step in range(1, 61):
        if costs.next_has_probes(step):
            probed.append(step)
            costs.step_had_probes(StepReading(step, "measure", 1, mark=None, probed=True))
        budget.step_done()
    assert len(probed) * 7.0 <= 1 / 100 * 60 * STEP_MS + 7.0 and probed[0] == 1


def test_what_probes_cost_a_device_is_charged_for_all_steps_once_it_shows():
    run = Run(measure_steps=1000)
    budget = Budget(run, lambda: 0.0)
    budget.begin(STEP_MS / 1000)
    costs = Costs(run, budget, ListRecorder(), host_waits=False)
    made = readings(90, cost_ms=10.0)
    for reading in made:
        budget.step_done()
        costs.step_had_probes(reading)
    assert budget.has_room_in_steps()  # nobody knows yet
    costs.add(made)
    assert not budget.has_room_in_steps()  # 60 steps of 10 ms each, of 90 that took 100


def test_what_a_device_took_in_its_own_time_is_charged_where_the_turns_do_not_contradict_it():
    cost = overhead_of(90, cost_ms=2.0, timed_ms=2.0, noise=0.05).cost()
    assert cost.sure_percent == cost.timed == pytest.approx(2.0, rel=0.2)
    assert overhead_of(90, cost_ms=9.0, timed_ms=2.0).cost().sure_percent == pytest.approx(9.0)
    unsure = overhead_of(90, cost_ms=0.5, noise=0.05).cost()
    assert unsure.timed is None and unsure.sure_percent == max(0.0, unsure.low)


def finished(captures_s, step_ms=20.0, **run):
    run = Run(measure_steps=30, **run)
    hands = [0.0]
    budget, recorder = Budget(run, lambda: hands[0]), ListRecorder()
    budget.begin(0.1)
    costs = Costs(run, budget, recorder, host_waits=True)
    costs.add(readings(30, cost_ms=step_ms, timed_ms=step_ms))
    hands[0] = 3.0
    for probe, seconds in captures_s.items():
        hands[0] += seconds
        budget.charge(probe, seconds)
    budget.end()
    costs.finish()
    return recorder


def test_a_run_over_its_budget_says_what_it_cost_and_why():
    over = finished({"update": 0.6}, step_ms=0.1).facts["overhead"]
    assert over["percent"] == pytest.approx(20, abs=0.2)
    assert "too short" in over["why_over"] and over["why_over"].endswith("update ratios took 600 ms")
    assert "asks for it" in finished({"memory": 0.6}, step_ms=0.1, memory_every=5).facts["overhead"]["why_over"]
    assert finished({}, step_ms=0.1).facts["overhead"]["why_over"] == ""


def test_what_is_looked_at_in_every_step_is_part_of_the_steps():
    found = summary(overhead_of(90, cost_ms=2.0), {"finite": 1.0}, 100.0, 1.0, {"attention": 0.5})
    assert found["captures_percent"] == {"finite": 1.0} and found["once_ms"] == {"attention": 500.0}
