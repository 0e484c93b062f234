"""Phi 1 to 2 (2023): both branches side by side behind one norm, a part of each head rotated, a bias in the head."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.pretrained.family import (
    Description,
    Family,
    head_of,
    no_dropout,
    plain_feedforward,
    sample_length,
)
from tfx_engine.pretrained.rotation import rotary
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Taken, layer, same
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark


def describe(table: Table) -> Description:
    """The configuration."""
    no_dropout(table, "attention_dropout", "resid_pdrop")
    heads = table.whole("num_attention_heads", default=32)
    groups = table.whole("num_key_value_heads", default=heads)
    table.expect("qk_layernorm", False, tr_mark("is {value}; queries and keys are not normed."))
    return {
        "model": {
            "width": table.whole("hidden_size", default=2048), "layers": table.whole("num_hidden_layers", default=24),
            "heads": heads, "context": sample_length(table, "max_position_embeddings", default=2048),
            "vocab": table.whole("vocab_size", default=51200),
        },
        "techniques": {
            "position": rotary(table, fraction=0.5),
            "attention": "multi_head" if groups == heads else {"use": "grouped_query", "kv_heads": groups},
            "norm": {"use": "layer_norm", "epsilon": table.number("layer_norm_eps", default=1e-5)},
            "placement": {"use": "parallel", "norms": 1},
            "feedforward": plain_feedforward(table, table.word("hidden_act", default="gelu_new"),
                                             table.whole("intermediate_size", default=8192)),
            "embedding": {"use": "token", "dropout": table.number("embd_pdrop", default=0.0)},
            "head": head_of(table, tied=False) | {"bias": True},
        },
    }


def tensors(config: Config) -> Iterator[Taken]:
    """Nothing is fused."""
    yield same("embedding.weight", "embed_tokens.weight")
    for i in range(config.model.layers):
        ours, theirs = f"blocks.{i}", f"layers.{i}"
        yield from layer(f"{ours}.attention_norm", f"{theirs}.input_layernorm", True)
        for name in ("query", "key", "value"):
            yield from layer(f"{ours}.attention.{name}", f"{theirs}.self_attn.{name[0]}_proj", True)
        yield from layer(f"{ours}.attention.output", f"{theirs}.self_attn.dense", True)
        yield from layer(f"{ours}.feedforward.up", f"{theirs}.mlp.fc1", True)
        yield from layer(f"{ours}.feedforward.down", f"{theirs}.mlp.fc2", True)
    yield from layer("final_norm", "final_layernorm", True)
    if config.use("head") == "untied":
        yield same("head.weight", "lm_head.weight")
    yield same("head.bias", "lm_head.bias")


FAMILY = Family(types=("phi",), title="Phi", describe=describe, tensors=tensors, prefix="model.")
