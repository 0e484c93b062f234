"""An option that a form hides, because it is said to be of no effect beside the other choices, is of none."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.helpers.tiny import task_for
from tests.helpers.training import small_setup
from tfx_engine.protocol.cards import TechniqueCard
from tfx_engine.protocol.options import OptionCard, check_value
from tfx_engine.techniques.catalogue import catalogue
from tfx_engine.train.step import train_step


def cases() -> list[Any]:
    """Every (technique, option, what makes it idle) of the catalogue."""
    found = []
    for card in catalogue().techniques:
        by_name = {o.name: o for o in card.options}
        for option in card.options:
            for name, wanted in option.only_when.items():
                choices = by_name[name].choices or (False, True)
                found += [pytest.param(card, option, {name: other}, id=f"{card.name}-{option.name}-{name}-{other}")
                          for other in choices if other not in wanted]
    return found


def another(option: OptionCard) -> Any:
    """A legal value that is not the default."""
    match option.kind:
        case "bool":
            return not option.default
        case "choice":
            return next(c for c in option.choices if c != option.default)
        case "int" | "float":
            tried = [3, 5, option.low, option.high]
            return next(v for v in tried if v != option.default and check_value(option, v, "x")[1] is None)
        case _:
            pytest.fail(f"say here what else {option.name!r} can be")


def weights_after_steps(card: TechniqueCard, options: dict[str, Any]) -> dict[str, torch.Tensor]:
    """All weights after two steps of a small training."""
    task = task_for(card.slot, card.name)
    setup = small_setup({card.slot: {"use": card.name, **options}}, data={"task": task})
    for step in range(2):
        train_step(setup.training, setup.task.batch(step, setup.device), step)
    return {name: p.detach().clone() for name, p in setup.training.model.named_parameters()}


@pytest.mark.parametrize(("card", "option", "idle"), cases())
def test_an_option_without_effect_changes_nothing(
    card: TechniqueCard, option: OptionCard, idle: dict[str, Any]
) -> None:
    plain = weights_after_steps(card, idle)
    changed = weights_after_steps(card, {**idle, option.name: another(option)})
    assert plain.keys() == changed.keys()
    assert [name for name in plain if not torch.equal(plain[name], changed[name])] == []
