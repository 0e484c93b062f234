"""Probes come at fixed steps, and automatic ones only as often as the whole run can afford."""

from __future__ import annotations

import statistics

import pytest

from tfx_engine.measure.budget import STEPS_SHARE, TIMES, Budget, shared_out
from tfx_engine.protocol.config import Run


class Hands:
    """A clock whose hands are moved by the test."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def train(hands, step_s, costs_s, norms_s=0.0, warm_s=None, learnt=(), every_step_s=0.0, **run):
    """The steps of a whole run with probes of planted costs: (budget, probe -> steps at which it was taken)."""
    budget = Budget(Run(**run), hands)
    for probe in learnt:
        budget.learn(probe, costs_s[probe])
    budget.begin(step_s if warm_s is None else warm_s)
    taken = {probe: [] for probe in (*costs_s, "norms")}
    for step in range(1, run["measure_steps"] + 1):
        hands.s += step_s
        if budget.has_room_in_steps(norms_s):
            taken["norms"].append(step)
            budget.charge_step(norms_s)
            hands.s += norms_s
        if every_step_s:
            budget.charge_always("finite", every_step_s)
            hands.s += every_step_s
        budget.step_done()
        for probe, cost_s in costs_s.items():
            if budget.due(probe, step):
                taken[probe].append(step)
                with budget.spending(probe):
                    hands.s += cost_s
    return budget, taken


def percent(taken, costs_s, norms_s, step_s, steps):
    spent_s = sum(len(taken[probe]) * cost_s for probe, cost_s in costs_s.items()) + len(taken["norms"]) * norms_s
    return 100 * spent_s / (steps * step_s)


def test_free_probes_come_ten_times_a_run():
    _, taken = train(Hands(), 1.0, {"attention": 0.0}, measure_steps=100)
    assert taken["attention"] == list(range(10, 101, 10)) and len(taken["norms"]) == 100


def test_a_short_run_is_probed_at_every_step_but_its_memory_every_tenth():
    _, taken = train(Hands(), 1.0, {"attention": 0.0, "memory": 0.0}, measure_steps=5)
    assert (taken["attention"], taken["memory"]) == ([1, 2, 3, 4, 5], [])
    assert train(Hands(), 1.0, {"memory": 0.0}, measure_steps=30)[1]["memory"] == [10, 20, 30]


@pytest.mark.parametrize(("steps", "step_s", "share"), [(60, 0.005, 1.0), (60, 0.005, 5.0), (1000, 0.005, 1.0),
                                                        (100, 0.4, 1.0), (10_000, 0.02, 0.5)])
def test_the_whole_run_stays_within_its_budget_where_it_can(steps, step_s, share):
    costs_s, norms_s = {"attention": 0.01, "evaluation": 0.02, "memory": 0.05, "update": 0.004}, 0.07 * 0.005
    run = {"measure_steps": steps, "probe_budget_percent": share}
    _, taken = train(Hands(), step_s, costs_s, norms_s, learnt=("attention", "evaluation", "memory"), **run)
    # What nobody knew the cost of was taken once, and so were the norms.
    unavoidable = 100 * (costs_s["update"] + norms_s) / (steps * step_s)
    assert percent(taken, costs_s, norms_s, step_s, steps) <= share * 1.02 + unavoidable
    assert taken["update"] and taken["norms"]


def test_a_long_run_uses_its_budget_and_takes_every_kind_evenly():
    costs_s, steps, step_s = {"attention": 0.3, "evaluation": 0.1, "memory": 0.2, "update": 0.05}, 2000, 0.1
    _, taken = train(Hands(), step_s, costs_s, learnt=costs_s, measure_steps=steps)
    assert 0.8 < percent(taken, costs_s, 0.0, step_s, steps) <= 1.0
    for probe, at in taken.items():
        if probe in TIMES:
            gaps = [b - a for a, b in zip([0, *at], [*at, steps], strict=True)]
            assert len(at) >= 1 and max(gaps) <= 0.7 * steps, (probe, at)
    assert len(taken["update"]) > len(taken["attention"])


def test_the_first_ones_do_not_spend_what_is_planned_for_the_last():
    _, taken = train(Hands(), 0.1, {"evaluation": 0.24}, learnt=("evaluation",), measure_steps=1000)
    assert len(taken["evaluation"]) == 4 and min(taken["evaluation"]) >= 200


def test_norms_that_cost_too_much_come_every_nth_step_from_the_beginning():
    steps, step_s, norms_s = 600, 0.005, 0.07 * 0.005  # 7 % of a step: a fourteenth of the steps for half a per cent
    _, taken = train(Hands(), step_s, {"update": 0.0004}, norms_s, learnt=("update",), measure_steps=steps)
    gaps = [b - a for a, b in zip(taken["norms"], taken["norms"][1:], strict=False)]
    assert taken["norms"][0] == 1 and statistics.median(gaps) == 14 and max(gaps) <= 28
    assert 100 * len(taken["norms"]) * norms_s / (steps * step_s) <= STEPS_SHARE + 0.03


def test_norms_have_what_the_others_have_no_use_for():
    steps, step_s, norms_s, dear = 600, 0.005, 0.07 * 0.005, {"memory": 1.0}
    _, taken = train(Hands(), step_s, dear, norms_s, learnt=dear, measure_steps=steps)
    assert taken["memory"] == [] and 0.9 <= percent(taken, dear, norms_s, step_s, steps) <= 1.1


def test_norms_that_cost_nearly_nothing_come_at_every_step():
    assert len(train(Hands(), 0.1, {}, 0.0004, measure_steps=50)[1]["norms"]) == 50


def test_what_is_looked_at_in_every_step_leaves_less_for_the_others():
    costs_s = {"evaluation": 0.02}
    free, _ = [], None
    for every_step_s in (0.0, 0.0009):
        _, taken = train(Hands(), 0.1, costs_s, learnt=costs_s, every_step_s=every_step_s, measure_steps=200)
        free.append(len(taken["evaluation"]))
    assert free[1] < free[0]


def test_a_warm_up_that_was_slow_does_not_pay_for_a_run_that_is_fast():
    costs_s = {"memory": 0.2}
    _, taken = train(Hands(), 0.005, costs_s, warm_s=5.0, learnt=costs_s, measure_steps=100)
    assert taken["memory"] == []


def test_an_interval_from_the_configuration_is_kept_whatever_it_costs():
    run = {"measure_steps": 20, "attention_every": 7, "memory_every": 1}
    budget, taken = train(Hands(), 0.01, {"attention": 100.0, "memory": 100.0, "evaluation": 1e-4}, **run)
    assert taken["attention"] == [7, 14] and taken["memory"] == list(range(1, 21))
    assert len(taken["evaluation"]) >= 2  # what the others cost was asked for: it is not charged
    assert budget.training_s == pytest.approx(0.2)


def test_what_the_beginning_and_the_end_cost_is_told_apart():
    hands = Hands()
    budget = Budget(Run(measure_steps=10), hands)
    with budget.learning("attention"):
        hands.s += 3.0
    budget.begin()
    hands.s += 1.0
    budget.charge("attention", 0.25)
    budget.end()
    with budget.learning("attention"):
        hands.s += 2.0
    assert budget.spent_s == {"attention": 0.25} and budget.once_s == {"attention": 5.0}
    assert budget.elapsed_s == 1.0 and budget.training_s == 0.75


def test_what_nobody_is_working_in_does_not_count():
    hands = Hands()
    budget = Budget(Run(measure_steps=10), hands)
    budget.begin()
    hands.s += 100.0
    budget.skip(99.0)
    assert budget.elapsed_s == 1.0


@pytest.mark.parametrize(("whole", "wanted", "given"), [
    (10, {"a": 2, "b": 3}, {"a": 2, "b": 3}),
    (10, {"a": 2, "b": 30, "c": 30}, {"a": 2, "b": 4, "c": 4}),
    (-1, {"a": 2}, {"a": 0}),
    (5, {}, {}),
])
def test_who_wants_less_leaves_more_for_the_others(whole, wanted, given):
    assert shared_out(whole, wanted) == given
