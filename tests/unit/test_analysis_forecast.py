"""How long an ablation takes: predicted before its first run, corrected by every run that has ended."""

from __future__ import annotations

import pytest

from tests.helpers.synthetic_run import make_config
from tfx_workbench.analysis.forecast import EXTRA_STEPS, forecast, predicted_s


def test_before_the_first_run_it_is_the_sum_of_what_is_predicted():
    found = forecast([10.0, 20.0, 30.0], {})
    assert found.left_s == 60.0 and not found.is_measured and not found.unknown
    assert forecast([10.0, None, 30.0], {}).left_s == 60.0 and forecast([10.0, None], {}).unknown == 1
    assert forecast([None, None], {}).left_s is None, "nothing is known"
    assert forecast([], {}).left_s is None


def test_the_first_run_says_what_a_start_takes():
    found = forecast([10.0, 10.0, 20.0], {0: 14.0})
    assert found.left_s == pytest.approx(14.0 + 24.0) and found.is_measured
    assert forecast([None, None, None], {0: 7.0}).left_s == 14.0


def test_several_runs_say_it_in_proportion():
    found = forecast([10.0, 20.0, 40.0, 30.0], {0: 25.0, 1: 45.0, 2: 85.0})
    assert found.left_s == pytest.approx(65.0)
    assert forecast([10.0] * 5, {0: 8.0, 1: 8.0, 2: 8.0}).left_s == pytest.approx(16.0)
    assert forecast([10.0], {0: 12.0}).left_s == 0.0


def test_the_steps_of_a_run_are_those_of_its_configuration():
    config = make_config(steps=30, warmup_steps=2).as_dict()
    assert predicted_s(config, 100.0) == pytest.approx(0.1 * (32 + EXTRA_STEPS))
    assert predicted_s(config, None) is None
