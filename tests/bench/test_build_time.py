"""How long it takes to build a model with its weights: every published one of up to 200 million parameters.

    python -m pytest tests/bench/test_build_time.py

`structure` is the same on the meta device, without numbers; the rest is drawing them. `GPT-2 of theirs`: what Hugging
Face takes for its own model of that size, built in turn with ours.
"""

from __future__ import annotations

import functools
import statistics
import time

import pytest
import torch

from tfx_engine.estimate import count_parameters
from tfx_engine.estimate.models import load_model
from tfx_engine.model.assemble import assemble
from tfx_engine.pretrained.index import published_models

LARGEST = 200_000_000
LIMIT_S = 2.5
ROUNDS = 3


def seconds(build) -> float:
    begun = time.perf_counter()
    build()
    return time.perf_counter() - begun


def test_every_model_that_can_be_tried_here_is_built_in_two_and_a_half_seconds():
    print(f"\n{'model':>16}{'parameters':>14}{'structure':>12}{'built':>10}   {torch.get_num_threads()} threads")
    slow = []
    for model in published_models():
        config = load_model(model)
        total = count_parameters(config).total
        if total > LARGEST:
            continue
        structure, built = (
            statistics.median(seconds(functools.partial(assemble, config, device)) for _ in range(ROUNDS))
            for device in ("meta", "cpu")
        )
        print(f"{model.name:>16}{total:>14,}{structure:>10.2f} s{built:>8.2f} s{'' if built <= LIMIT_S else '   over'}")
        slow += [model.name] if built > LIMIT_S else []
    print("over the limit of {} s: {}".format(LIMIT_S, ", ".join(slow) or "none"))


@pytest.mark.filterwarnings("default")  # of another library
def test_gpt2_is_built_in_turn_with_the_one_of_hugging_face():
    transformers = pytest.importorskip("transformers", reason="the bench extra is not installed")
    config = load_model(next(model for model in published_models() if model.name == "gpt2"))
    sizes = transformers.GPT2Config()
    rounds = [(seconds(lambda: assemble(config, "cpu")), seconds(lambda: transformers.GPT2LMHeadModel(sizes)))
              for _ in range(ROUNDS)]
    ours, theirs = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"\nGPT-2, {count_parameters(config).total:,} parameters: ours {ours:.2f} s, theirs {theirs:.2f} s, "
          f"ratio {statistics.median(a / b for a, b in rounds):.2f}")
