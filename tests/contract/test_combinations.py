"""Whatever is combined: it is refused with a sentence, or it builds and trains, every trainable tensor with a gradient.

`python -m pytest tests/contract/test_combinations.py --configurations 2000` draws more of them.
"""

from __future__ import annotations

import pytest
import torch

from tests.helpers.random_config import random_config
from tfx_engine.model.validate import validate
from tfx_engine.protocol.config import Config, parse_config
from tfx_engine.protocol.problems import Problem, errors_among
from tfx_engine.techniques.catalogue import catalogue
from tfx_engine.train.setup import set_up
from tfx_engine.train.step import train_step

UNTRIED = frozenset({"compile"})  # each would take a minute of a compiler's time
PIECES = 20  # of the drawing, so that a failure says roughly where


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "seeds" in metafunc.fixturenames:
        count = metafunc.config.getoption("configurations")
        metafunc.parametrize("seeds", [range(i, count, PIECES) for i in range(PIECES)], ids=lambda r: f"from-{r.start}")


def test_a_random_configuration_is_refused_in_words_or_trains(seeds: range) -> None:
    for seed in seeds:
        config, problems = parse_config(random_config(seed, catalogue(), leave=UNTRIED))
        problems = problems or tuple(validate(config))
        try:
            said(problems)
            if not errors_among(problems):
                trained(config)
        except Exception as error:
            pytest.fail(f"configuration {seed}: {config.techniques}\n{type(error).__name__}: {error}")


def said(problems: tuple[Problem, ...]) -> None:
    """Every problem says where and what."""
    for problem in problems:
        assert problem.path and problem.message and "{" not in problem.sentence(), problem


def trained(config: Config, device: str = "cpu") -> None:
    """One step forward and backward: the loss is a number, and so is a gradient of everything that is trained."""
    setup = set_up(config, torch.device(device))
    training, model = setup.training, setup.training.model
    inputs, targets = setup.task.batch(0)
    found: dict[str, torch.Tensor] = {}
    hooks = [p.register_hook(lambda g, name=name: found.__setitem__(name, g.detach().clone()))
             for name, p in model.named_parameters() if p.requires_grad]  # fmt: skip
    loss = train_step(training, (inputs.to(device), targets.to(device)), 0)
    for hook in hooks:
        hook.remove()
    assert loss.isfinite(), "the loss is not a number"
    for name, parameter in model.named_parameters():
        assert (name in found) == parameter.requires_grad, f"{name} has no gradient"
        assert parameter.isfinite().all(), f"{name} is not finite after the step"


def test_a_good_part_of_what_is_drawn_is_legal() -> None:
    drawn = [parse_config(random_config(seed, catalogue(), leave=UNTRIED)) for seed in range(200)]
    assert sum(not problems and not errors_among(validate(config)) for config, problems in drawn) >= 30
