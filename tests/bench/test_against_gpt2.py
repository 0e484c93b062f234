"""The same model and batch, measured, against Hugging Face's GPT-2 of equal size in a bare loop.

    python -m pytest tests/bench/test_against_gpt2.py
"""

from __future__ import annotations

import pytest
import torch

import tfx_engine.api as tfx
from tests.bench.turns import in_turn, others, table

LIMIT = 1.0
PAIRS = 40
CONFIG = {
    "name": "gpt2", "model": {"width": 256, "layers": 6, "heads": 8, "context": 256},
    "techniques": {"position": "learned", "feedforward": {"use": "gelu", "approximate": "tanh"}},
    "run": {"batch": 8, "warmup_steps": 2, "measure_steps": 2 * PAIRS, "device": "cpu"},
}


def gpt2_step(config):
    transformers = pytest.importorskip("transformers", reason="the bench extra is not installed")
    sizes = transformers.GPT2Config(
        vocab_size=config.vocab, n_positions=config.model.context, n_embd=config.model.width,
        n_layer=config.model.layers, n_head=config.model.heads, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=0, eos_token_id=0,
    )
    torch.manual_seed(0)
    model = transformers.GPT2LMHeadModel(sizes).train()
    assert sum(p.numel() for p in model.parameters()) == tfx.estimate(config)["params"]["total"]
    return others(config, model, lambda model, inputs: model(input_ids=inputs, labels=inputs).loss)


@pytest.mark.filterwarnings("default")  # of another library
def test_a_measured_run_is_no_slower_than_gpt2_in_a_bare_loop(tmp_path):
    config = tfx.load_config(CONFIG)
    pairs = in_turn(config, tmp_path, gpt2_step(config), PAIRS)
    size = tfx.estimate(config)["params"]["total"] / 1e6
    title = f"time per step, {size:.1f} M parameters, batch 8 x 256, {torch.get_num_threads()} threads"
    assert table(title, ("measured run", "GPT2LMHeadModel"), pairs) <= LIMIT
