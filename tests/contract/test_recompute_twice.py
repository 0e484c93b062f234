"""A block that runs again does in its second run what it did in the first, whatever else was tried out or made once."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from tests.helpers.tiny import loss_of, tiny_config
from tests.helpers.training import small_setup
from tfx_engine.estimate import flops_per_token
from tfx_engine.model.assemble import assemble
from tfx_engine.train.step import train_step

# Each does something in its first run only: it tries a kernel, makes a table or a mask, or writes over a product.
ONCE: list[dict[str, Any]] = [
    {"kernel": "math"}, {"kernel": "math", "attention": "differential"},
    {"kernel": "math", "residual": "hyper_connections"}, {"position": "alibi"}, {"position": "t5_bias"},
    {"position": {"use": "rotary", "scaling": "dynamic", "original_context": 4}}, {"sink": "learned"},
    {"window": {"use": "sliding", "size": 3}}, {"attention": {"use": "grouped_query", "kv_heads": 1}},
    {"mixer": "gru"}, {"mixer": "lstm"}, {"feedforward": "mixture_of_experts"},
]  # fmt: skip
SIZES = {"heads": 4, "head_width": 4, "layers": 3}


def weights_after(techniques: dict[str, Any], recompute: Any, steps: int = 2) -> dict[str, Tensor]:
    setup = small_setup({**techniques, "recompute": recompute}, model=SIZES)
    for step in range(steps):
        train_step(setup.training, setup.task.batch(step), step)
    return {name: tensor.clone() for name, tensor in setup.training.model.state_dict().items()}


@pytest.mark.parametrize("recompute", ["every_block", "selective", {"use": "selective", "operators": "add mul clone"}])
@pytest.mark.parametrize("techniques", ONCE, ids=str)
def test_no_weight_is_another_for_it(techniques: dict[str, Any], recompute: Any) -> None:
    plain, again = weights_after(techniques, "none"), weights_after(techniques, recompute)
    assert plain.keys() == again.keys()
    assert [name for name in plain if not torch.equal(plain[name], again[name])] == []


@pytest.mark.parametrize("adapter", ["none", {"use": "freeze", "train": ["norms"], "blocks": "all"}], ids=str)
def test_of_a_recurrent_layer_nothing_is_kept_and_its_flops_count(adapter: Any) -> None:
    counted = []
    for recompute in ("none", "selective"):
        config = tiny_config({"mixer": "gru", "recompute": recompute, "adapter": adapter, "placement": "res_post_norm"})
        model, tokens_BT = assemble(config, "cpu"), torch.zeros(2, config.model.context, dtype=torch.int64)
        with FlopCounterMode(display=False) as counter:
            loss_of(model, tokens_BT, tokens_BT).backward()
        counted.append(counter.get_total_flops())
    assert counted[1] - counted[0] == flops_per_token(config).recompute * tokens_BT.numel() > 0
