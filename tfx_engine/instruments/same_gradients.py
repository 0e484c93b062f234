"""Whether recompute changes anything but memory and time: its gradients against those without it, bit by bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from tfx_engine.protocol.config import Choice, Config
from tfx_engine.train.setup import set_up
from tfx_engine.train.step import losses, no_name


def measure(config: Config, options: Mapping[str, float], weights: Path | None) -> dict[str, float]:
    """`unequal`: tensors whose gradient differs in any bit, of `compared`."""
    plain = dataclasses.replace(config, techniques={**config.techniques, "recompute": Choice("none")})
    with_it, without = _gradients(config), _gradients(plain)
    unequal = sum(not torch.equal(gradient, without[name]) for name, gradient in with_it.items())
    return {"unequal": float(unequal), "compared": float(len(without))}


def _gradients(config: Config) -> dict[str, Tensor]:
    setup = set_up(config, torch.device("cpu"))
    batch = setup.task.batch(0)
    loss, _ = losses(setup.training, batch, (batch[1] != -100).sum(), no_name)
    loss.backward()
    return {name: p.grad for name, p in setup.training.model.named_parameters() if p.grad is not None}
