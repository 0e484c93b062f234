"""GPT-NeoX (2022) and Pythia (2023): attention and feed-forward side by side, a part of each head rotated."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.pretrained.family import (
    Description,
    Family,
    head_of,
    head_tensors,
    no_dropout,
    plain_feedforward,
    sample_length,
)
from tfx_engine.pretrained.rotation import rotary
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import QUERY_KEY_VALUE, Taken, fused, layer, same, woven
from tfx_engine.protocol.config import Config


def describe(table: Table) -> Description:
    """The configuration."""
    no_dropout(table, "attention_dropout", "hidden_dropout")
    parallel = table.flag("use_parallel_residual", default=True)
    bias = table.flag("attention_bias", default=True)
    table.skip("classifier_dropout", "rotary_emb_base", "rotary_pct")
    return {
        "model": {
            "width": table.whole("hidden_size", default=6144), "layers": table.whole("num_hidden_layers", default=44),
            "heads": table.whole("num_attention_heads", default=64),
            "context": sample_length(table, "max_position_embeddings", default=2048),
            "vocab": table.whole("vocab_size", default=50432),
        },
        "techniques": {
            "position": rotary(table, fraction=0.25),
            "attention": {"use": "multi_head"} | ({} if bias else {"bias": False}),
            "norm": {"use": "layer_norm", "epsilon": table.number("layer_norm_eps", default=1e-5)},
            "placement": {"use": "parallel", "norms": 2} if parallel else "pre_norm",
            "feedforward": plain_feedforward(table, table.word("hidden_act", default="gelu"),
                                             table.whole("intermediate_size", default=24576)),
            "head": head_of(table, tied=False),
        },
    }


def tensors(config: Config) -> Iterator[Taken]:
    """The rows of the fused layer go head by head: a head's query, its key, its value."""
    cuts = [(name, woven(i, 1, 3, config.model.heads)) for i, name in enumerate(QUERY_KEY_VALUE)]
    bias = config.techniques["attention"].options.get("bias") is not False
    yield same("embedding.weight", "embed_in.weight")
    for i in range(config.model.layers):
        ours, theirs = f"blocks.{i}", f"layers.{i}"
        yield from layer(f"{ours}.attention_norm", f"{theirs}.input_layernorm", True)
        yield from fused(f"{ours}.attention", f"{theirs}.attention.query_key_value", bias, cuts)
        yield from layer(f"{ours}.attention.output", f"{theirs}.attention.dense", bias)
        yield from layer(f"{ours}.feedforward_norm", f"{theirs}.post_attention_layernorm", True)
        yield from layer(f"{ours}.feedforward.up", f"{theirs}.mlp.dense_h_to_4h", True)
        yield from layer(f"{ours}.feedforward.down", f"{theirs}.mlp.dense_4h_to_h", True)
    yield from layer("final_norm", "final_layer_norm", True)
    yield from head_tensors(config, "embed_out.weight")


FAMILY = Family(
    types=("gpt_neox",), title="GPT-NeoX", describe=describe, tensors=tensors, prefix="gpt_neox.",
    silent=(".attention.bias", ".attention.masked_bias", ".rotary_emb.inv_freq"),
)
