"""Probes come at fixed steps, and automatic ones only within what they may cost."""

from __future__ import annotations

from tfx_engine.measure.budget import FREE_S, Budget
from tfx_engine.protocol.config import Run


class Hands:
    """A clock whose hands are moved by the test."""

    def __init__(self) -> None:
        self.s = 0.0

    def __call__(self) -> float:
        return self.s


def due_steps(budget, probe, steps, hands, step_s=0.0, cost_s=0.0):
    found = []
    for step in range(1, steps + 1):
        hands.s += step_s
        if budget.due(probe, step):
            found.append(step)
            with budget.spending(probe):
                hands.s += cost_s
    return found


def test_free_probes_come_ten_times_a_run():
    hands = Hands()
    budget = Budget(Run(measure_steps=100), hands)
    assert due_steps(budget, "attention", 100, hands, step_s=1) == list(range(10, 101, 10))


def test_a_short_run_is_probed_at_every_step_but_its_memory_every_tenth():
    hands = Hands()
    budget = Budget(Run(measure_steps=5), hands)
    assert due_steps(budget, "attention", 5, hands) == [1, 2, 3, 4, 5]
    assert due_steps(Budget(Run(measure_steps=30), hands), "memory", 30, hands) == [10, 20, 30]


def test_automatic_probes_stay_within_one_per_cent():
    hands = Hands()
    budget = Budget(Run(measure_steps=10_000), hands)
    cost_s = 1.0
    found = due_steps(budget, "evaluation", 10_000, hands, step_s=0.01, cost_s=cost_s)
    assert 1 <= len(found) * cost_s <= FREE_S + cost_s + 0.01 * hands.s


def test_the_budget_is_shared_by_all_automatic_probes():
    hands = Hands()
    budget = Budget(Run(measure_steps=100), hands)
    budget.charge("evaluation", FREE_S)
    budget.charge("attention", 0.001)
    hands.s = 1.0
    assert not budget.due("attention", 10)
    hands.s = 100 * FREE_S + 1
    assert budget.due("attention", 10)


def test_an_interval_from_the_configuration_is_kept_whatever_it_costs():
    hands = Hands()
    budget = Budget(Run(measure_steps=20, attention_every=7, memory_every=1), hands)
    assert due_steps(budget, "attention", 20, hands, cost_s=100) == [7, 14]
    assert due_steps(budget, "memory", 3, hands, cost_s=100) == [1, 2, 3]
    assert budget.due("evaluation", 2)  # what the others cost was asked for: it is not charged


def test_what_the_beginning_cost_is_not_charged():
    hands = Hands()
    budget = Budget(Run(measure_steps=10), hands)
    budget.charge("attention", 1000.0)
    budget.begin()
    budget.charge("attention", 0.01)
    assert budget.due("attention", 1)
