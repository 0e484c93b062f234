"""Learning rates are those of transformers' schedules, where both define the same thing.

Their rise is t / w, ours (t + 1) / w, so that no step is wasted: rises agree one step later. Their cosine is at its end
one step after the last, ours at the last step: it is theirs of a run that is one step shorter.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import optimization

from tfx_engine.protocol.config import Choice
from tfx_engine.techniques.catalogue import technique_for

STEPS, RISING = 40, 7


def ours(name: str, **options: Any) -> list[float]:
    technique, chosen = technique_for("schedule", Choice(name, options))
    factor = technique.build(chosen, STEPS)
    return [factor(step) for step in range(STEPS)]


def theirs(make: Callable[..., Any], **options: Any) -> list[float]:
    """The rates of `STEPS` + 1 steps at learning rate 1."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    schedule = make(optimizer, **options)
    rates = []
    for _ in range(STEPS + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_linear_is_get_linear_schedule_with_warmup() -> None:
    wanted = theirs(optimization.get_linear_schedule_with_warmup, num_warmup_steps=RISING, num_training_steps=STEPS)
    found = ours("linear", warmup_steps=RISING)
    assert found[RISING:] == pytest.approx(wanted[RISING:STEPS], abs=1e-12)
    assert found[: RISING - 1] == pytest.approx(wanted[1:RISING], abs=1e-12)


def test_cosine_is_get_cosine_schedule_of_a_run_one_step_shorter() -> None:
    wanted = theirs(optimization.get_cosine_with_min_lr_schedule_with_warmup, num_warmup_steps=RISING,
                    num_training_steps=STEPS - 1, min_lr_rate=0.3)  # fmt: skip
    found = ours("cosine", warmup_steps=RISING, final=0.3)
    assert found[RISING:] == pytest.approx(wanted[RISING:STEPS], abs=1e-12)
    assert found[: RISING - 1] == pytest.approx(wanted[1:RISING], abs=1e-12)


@pytest.mark.parametrize("shape", ["1-sqrt", "linear", "cosine"])
def test_wsd_is_get_wsd_schedule(shape: str) -> None:
    wanted = theirs(optimization.get_wsd_schedule, num_warmup_steps=RISING, num_decay_steps=10,
                    num_training_steps=STEPS, decay_type=shape, min_lr_ratio=0.1)  # fmt: skip
    found = ours("wsd", warmup_steps=RISING, cooldown=0.25, shape=shape, final=0.1)
    assert found[RISING:] == pytest.approx(wanted[RISING:STEPS], abs=1e-12)


def test_noam_is_get_inverse_sqrt_schedule_one_step_later() -> None:
    wanted = theirs(optimization.get_inverse_sqrt_schedule, num_warmup_steps=RISING)
    assert ours("noam", warmup_steps=RISING) == pytest.approx(wanted[1:], abs=1e-12)


def test_noam_at_the_papers_rate_is_the_papers_formula() -> None:
    peak = (512 * RISING) ** -0.5
    paper = [512**-0.5 * min(t**-0.5, t * RISING**-1.5) for t in range(1, STEPS + 1)]
    assert [peak * share for share in ours("noam", warmup_steps=RISING)] == pytest.approx(paper, rel=1e-12)


def test_constant_with_a_rise_is_get_constant_schedule_with_warmup_one_step_later() -> None:
    wanted = theirs(optimization.get_constant_schedule_with_warmup, num_warmup_steps=RISING)
    assert ours("constant", warmup_steps=RISING) == pytest.approx(wanted[1:], abs=1e-12)
