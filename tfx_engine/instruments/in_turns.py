"""How long a step takes beside a plain one: the same model with and without what it chooses, in turns.

On a machine that does something else as well, two runs after one another differ by more than most techniques cost. So
both models are held at once and step in blocks of with, without, without, with: whatever drifts meets both alike. The
plain one is that in float32 and without recompute.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

from tfx_engine.measure.clock import make_clock
from tfx_engine.model.validate import pick_device
from tfx_engine.protocol.config import Choice, Config
from tfx_engine.train.setup import Setup, set_up
from tfx_engine.train.step import train_step

_PLAIN = {"recompute": "none", "precision": "float32"}


def measure(config: Config, options: Mapping[str, float], weights: Path | None) -> dict[str, float]:
    """`times_as_long`: the median over `blocks` of what both steps with it took, divided by both without.

    Of the plain one it is 1: what two of it differ by in turns would be this machine's noise and nothing else.
    """
    if plain_of(config) == config:
        return {"times_as_long": 1.0}
    device = pick_device(config.run.device)
    with_it, without = set_up(config, device), set_up(plain_of(config), device)
    _step_ms(with_it, 0), _step_ms(without, 0)  # what is made once
    logs = []
    for block in range(int(options["blocks"])):
        first = 1 + 2 * block
        inside = _step_ms(with_it, first)
        outside = _step_ms(without, first) + _step_ms(without, first + 1)
        logs.append(math.log((inside + _step_ms(with_it, first + 1)) / outside))
    return {"times_as_long": math.exp(statistics.median(logs))}


def plain_of(config: Config) -> Config:
    """The configuration that it is compared with."""
    return dataclasses.replace(config, techniques={
        **config.techniques, **{slot: Choice(name) for slot, name in _PLAIN.items()}})  # fmt: skip


def _step_ms(setup: Setup, step: int) -> float:
    batch = setup.task.batch(step)
    inputs, targets = batch[0].to(setup.device), batch[1].to(setup.device)
    mark = make_clock(setup.device, time.perf_counter_ns()).start()
    train_step(setup.training, (inputs, targets), step)
    mark.stop()
    return mark.read()[0]
