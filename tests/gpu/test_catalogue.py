"""The whole catalogue on a CUDA device: each technique alone, and whatever is combined."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from tests.contract.test_combinations import UNTRIED, said, trained
from tests.helpers.random_config import random_config
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.problems import errors_among
from tfx_engine.techniques.catalogue import catalogue
from tfx_engine.train.setup import set_up
from tfx_engine.train.step import train_step

SIZES = {"width": 64, "heads": 2, "layers": 2, "head_width": 32, "context": 64}
DRAWN = 200
PIECES = 10
CARDS = [card for slot in catalogue().slots for card in catalogue().in_slot(slot.name)]


def alone(slot: str, name: str) -> Config | None:
    """A small model with this one technique changed; None where the device refuses it, in words."""
    data: dict[str, Any] = {
        "model": SIZES, "data": {"task": "copy"}, "techniques": {slot: name}, "run": {"batch": 4, "device": "cuda"},
    }
    config, problems = parse_config(data)
    problems = problems or tuple(validate(config))
    said(problems)
    return None if errors_among(problems) else config


@pytest.mark.parametrize("card", CARDS, ids=lambda card: f"{card.slot}-{card.name}")
def test_a_technique_alone_trains_or_is_refused_in_words(card: Any) -> None:
    config = alone(card.slot, card.name)
    if config is not None:
        trained(config, "cuda")
        torch.cuda.synchronize()


@pytest.mark.parametrize("seeds", [range(i, DRAWN, PIECES) for i in range(PIECES)], ids=lambda r: f"from-{r.start}")
def test_a_random_configuration_is_refused_in_words_or_trains(seeds: range) -> None:
    for seed in seeds:
        data = random_config(seed, catalogue(), leave=UNTRIED)
        data["run"]["device"] = "cuda"
        config, problems = parse_config(data)
        problems = problems or tuple(validate(config))
        try:
            said(problems)
            if not errors_among(problems):
                trained(config, "cuda")
        except Exception as error:
            pytest.fail(f"configuration {seed}: {config.techniques}\n{type(error).__name__}: {error}")


@pytest.mark.parametrize("mode", ["default", "reduce_overhead", "max_autotune"])
@pytest.mark.parametrize("techniques", [
    {}, {"position": "rotary", "feedforward": "swiglu", "norm": "rms_norm"}, {"recompute": "every_block"},
    {"adapter": "lora"}, {"precision": "bfloat16_autocast", "kernel": "flash"},
], ids=["default", "llama", "recompute", "lora", "flash"])  # fmt: skip
def test_compiled_steps_have_the_losses_of_eager_ones(mode: str, techniques: dict[str, Any]) -> None:
    losses = []
    for compiled in ("none", mode):
        config, problems = parse_config({
            "model": SIZES, "data": {"task": "copy"}, "run": {"batch": 4, "device": "cuda"},
            "techniques": {**techniques, "compile": compiled},
        })
        assert not problems
        setup = set_up(config, torch.device("cuda"))
        steps = []
        for index in range(3):
            inputs, targets = setup.task.batch(index)
            steps.append(train_step(setup.training, (inputs.cuda(), targets.cuda()), index).item())
        losses.append(steps)
    assert losses[1] == pytest.approx(losses[0], rel=2e-2 if "precision" in techniques else 1e-4)
