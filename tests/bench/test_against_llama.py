"""A Llama of equal size, ours measured, against Hugging Face's and against x-transformers' in a bare loop.

    python -m pytest tests/bench/test_against_llama.py

The same batches, optimizer and number of parameters, step by step in turn.
"""

from __future__ import annotations

import pytest
import torch

import tfx_engine.api as tfx
from tests.bench.turns import in_turn, others, table

LIMIT = 1.0
PAIRS = 30
INNER = 688
CONFIG = {
    "name": "llama", "model": {"width": 256, "layers": 6, "heads": 8, "context": 256, "bias": False},
    "techniques": {
        "position": "rotary", "attention": {"use": "grouped_query", "kv_heads": 4}, "head": "untied",
        "norm": {"use": "rms_norm", "epsilon": 1e-5}, "feedforward": {"use": "swiglu", "width": INNER},
    },
    "run": {"batch": 8, "warmup_steps": 2, "measure_steps": 2 * PAIRS, "device": "cpu"},
}


def _inner(config):
    return config.techniques["feedforward"].options["width"]


def of_transformers(config):
    transformers = pytest.importorskip("transformers", reason="the bench extra is not installed")
    m = config.model
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(
        vocab_size=config.vocab, hidden_size=m.width, num_hidden_layers=m.layers, num_attention_heads=m.heads,
        num_key_value_heads=4, intermediate_size=_inner(config), max_position_embeddings=m.context, rms_norm_eps=1e-5,
        bos_token_id=0, eos_token_id=0,
    ))


class OfXTransformers(torch.nn.Module):
    """Its decoder with the same choices, called as the other one is."""

    def __init__(self, config):
        super().__init__()
        x_transformers = pytest.importorskip("x_transformers", reason="the bench extra is not installed")
        m = config.model
        self.model = x_transformers.TransformerWrapper(
            num_tokens=config.vocab, max_seq_len=m.context, use_abs_pos_emb=False,
            attn_layers=x_transformers.Decoder(
                dim=m.width, depth=m.layers, heads=m.heads, attn_dim_head=m.width // m.heads, attn_kv_heads=4,
                rotary_pos_emb=True, rotary_emb_dim=m.width // m.heads, use_rmsnorm=True, ff_glu=True, ff_swish=True,
                ff_no_bias=True, ff_mult=_inner(config) / m.width, attn_flash=True,
            ),
        )

    def forward(self, inputs):
        logits = self.model(inputs)
        return torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), inputs[:, 1:].flatten())


def step_of(config, model, loss_of):
    total = sum(p.numel() for p in model.parameters())
    assert abs(total / tfx.estimate(config)["params"]["total"] - 1) < 0.002  # x-transformers' gates have biases
    return others(config, model, loss_of)


THEIRS = {
    "transformers": (of_transformers, lambda model, inputs: model(input_ids=inputs, labels=inputs).loss),
    "x-transformers": (OfXTransformers, lambda model, inputs: model(inputs)),
}


@pytest.mark.filterwarnings("default")  # of other libraries
@pytest.mark.parametrize("name", THEIRS)
def test_a_measured_run_is_no_slower_than_the_llama_of_others_in_a_bare_loop(tmp_path, name):
    config = tfx.load_config(CONFIG)
    make, loss_of = THEIRS[name]
    torch.manual_seed(0)
    pairs = in_turn(config, tmp_path, step_of(config, make(config).train(), loss_of), PAIRS)
    size = tfx.estimate(config)["params"]["total"] / 1e6
    title = f"time per step, {size:.1f} M parameters, batch 8 x 256, {torch.get_num_threads()} threads"
    assert table(title, ("measured run", name), pairs) <= LIMIT
