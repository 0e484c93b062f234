"""Whether an adapter can be merged into the weights that it adapts: outputs before and after, once it has learned."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from tfx_engine.model.assemble import make_adapter
from tfx_engine.protocol.config import Config
from tfx_engine.train.setup import set_up
from tfx_engine.train.step import train_step


def measure(config: Config, options: Mapping[str, float], weights: Path | None) -> dict[str, float]:
    """`difference`: the largest of any logit, after `steps` updates of the adapter, which begins as nothing."""
    setup = set_up(config, torch.device("cpu"))
    for step in range(int(options["steps"])):
        train_step(setup.training, setup.task.batch(step), step)
    model, adapter = setup.training.model.eval(), make_adapter(config)
    inputs, _ = setup.task.held_out(0)
    with torch.no_grad():
        before = model(inputs)
        adapter.merge(model)
        return {"difference": float((model(inputs) - before).abs().max())}
