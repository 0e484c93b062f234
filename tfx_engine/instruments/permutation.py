"""Whether a model notices the order of its tokens. B batch, T tokens, V vocabulary.

Attention that sees everything treats its tokens as a set: permute the inputs, and the outputs are permuted alike
(equivariance). Positions end that. Measured is the largest difference between the outputs of permuted inputs and the
permuted outputs, in float64 so that rounding is out of the question.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from tfx_engine.data import make_task
from tfx_engine.model.assemble import assemble
from tfx_engine.protocol.config import Config


@torch.no_grad()
def measure(config: Config, options: Mapping[str, float], weights: Path | None) -> dict[str, float]:
    """`difference`: of logits, of a fresh model in evaluation mode."""
    model = assemble(config, "cpu", torch.float64).eval()
    tokens_BT, _ = make_task(config).batch(0)
    order_T = torch.randperm(config.model.context, generator=torch.Generator().manual_seed(config.seed))
    permuted_BTV = model(tokens_BT[:, order_T])
    return {"difference": float((permuted_BTV - model(tokens_BT)[:, order_T]).abs().max())}
