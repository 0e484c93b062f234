"""What measuring costs: a run with everything on against the same model in a bare hand-written loop.

    python -m pytest tests/bench/test_overhead.py

On a CUDA device too where there is one.
"""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

import tfx_engine.api as tfx
from tests.bench.turns import in_turn, table
from tfx_engine.data import make_task

LIMIT = 1.03
PAIRS = 40
CONFIG = {
    "cpu": {"name": "overhead", "model": {"width": 256, "layers": 6, "heads": 8, "context": 256},
            "run": {"batch": 8, "warmup_steps": 2, "measure_steps": 2 * PAIRS, "device": "cpu"}},
    "cuda": {"name": "overhead", "model": {"width": 768, "layers": 12, "heads": 12, "context": 512},
             "run": {"batch": 16, "warmup_steps": 5, "measure_steps": 2 * PAIRS, "device": "cuda"}},
}
DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def bare_step(config):
    model, task = tfx.build_model(config, device=config.run.device), make_task(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def step(index: int) -> None:
        inputs, targets = (tensor.to(config.run.device) for tensor in task.batch(index))
        loss = F.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        loss.item()

    return step


@pytest.mark.parametrize("device", DEVICES)
def test_a_measured_run_is_hardly_slower_than_a_bare_loop(tmp_path, device):
    config = tfx.load_config(CONFIG[device])
    pairs = in_turn(config, tmp_path, bare_step(config), PAIRS)
    size = tfx.estimate(config)["params"]["total"] / 1e6
    title = (f"{device}, time per step, {size:.1f} M parameters, batch {config.run.batch} x {config.model.context}, "
             f"{torch.get_num_threads()} threads")
    assert table(title, ("measured run", "bare loop"), pairs) <= LIMIT
