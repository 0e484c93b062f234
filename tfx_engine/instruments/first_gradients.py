"""Gradients before anything was learned: one forward and one backward pass of a fresh model, and no update.

Where norms stand decides how large gradients near the output are at first: with norms after the residual sum they do
not depend on the depth, with norms before it they fall as the root of the depth (Xiong and others 2020,
arXiv:2002.04745, theorem 1). The matrix that their theorem is about is the last one of the last feed-forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import nn

from tfx_engine.protocol.config import Config
from tfx_engine.train.setup import set_up
from tfx_engine.train.step import losses, no_name


def measure(config: Config, options: Mapping[str, float], weights: Path | None) -> dict[str, float]:
    """L2 norms of the gradients of the matrices that end the feed-forwards of the last and of the first block."""
    setup = set_up(config, torch.device("cpu"))
    batch = setup.task.batch(0)
    loss, _ = losses(setup.training, batch, (batch[1] != -100).sum(), no_name)
    loss.backward()
    blocks = setup.training.model.blocks
    return {"last_feedforward": _norm(blocks[-1]), "first_feedforward": _norm(blocks[0])}


def _norm(block: nn.Module) -> float:
    matrices = [p for name, p in block.named_parameters() if "feedforward." in name and p.dim() == 2]
    gradient = matrices[-1].grad
    assert gradient is not None
    return float(gradient.norm())
