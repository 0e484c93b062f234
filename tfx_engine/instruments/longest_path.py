"""How many operations of the backward pass must wait for one another: the longest path through the graph of autograd.

It counts what is sequential whatever the machine: attention looks at all tokens at once, a recurrent layer takes one
after the other. Torch's fused recurrent layers hide their steps in a single node, so they are unrolled here by the
reference of their technique, which gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tfx_engine.protocol.config import Config
from tfx_engine.techniques.catalogue import technique_for
from tfx_engine.techniques.mixer import Recurrent
from tfx_engine.train.setup import set_up
from tfx_engine.train.step import losses, no_name


def measure(config: Config, options: Mapping[str, float], weights: Path | None) -> dict[str, float]:
    """`operations`: nodes on the longest path from the loss to a weight."""
    setup = set_up(config, torch.device("cpu"))
    technique, _ = technique_for("mixer", config.techniques["mixer"])
    for module in setup.training.model.modules():
        if isinstance(module, Recurrent):
            _unroll(module, technique.reference)
    batch = setup.task.batch(0)
    loss, _ = losses(setup.training, batch, (batch[1] != -100).sum(), no_name)
    return {"operations": float(longest(loss))}


def _unroll(module: Recurrent, reference: Any) -> None:
    module.forward = lambda x_BTD, context: reference(module, x_BTD, context)  # type: ignore[method-assign]


def longest(loss: Tensor) -> int:
    """Nodes on the longest path that begins at a tensor; without recursion, as a path may be long."""
    depth: dict[Any, int] = {}
    waiting = [(loss.grad_fn, False)]
    while waiting:
        node, is_done = waiting.pop()
        after = [n for n, _ in node.next_functions if n is not None] if node is not None else []
        if node is None or node in depth:
            continue
        if is_done:
            depth[node] = 1 + max((depth[n] for n in after), default=0)
        else:
            waiting.append((node, True))
            waiting += [(n, False) for n in after if n not in depth]
    return depth.get(loss.grad_fn, 0)
