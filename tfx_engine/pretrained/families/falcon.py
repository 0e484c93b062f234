"""Falcon (2023): both branches side by side behind one norm, all query heads sharing one head of keys."""

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
from tfx_engine.pretrained.take import Taken, fused, layer, same, woven
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark


def describe(table: Table) -> Description:
    """The configuration. The "new decoder architecture" of the 40 and 180 billion has groups and two norms."""
    no_dropout(table, "attention_dropout", "hidden_dropout")
    new = table.flag("new_decoder_architecture", default=False)
    heads, width = table.whole("num_attention_heads", "n_head", default=71), table.whole("hidden_size", default=4544)
    multi_query = table.flag("multi_query", default=True)
    groups = table.whole("num_kv_heads", "n_head_kv", default=heads) if new else 1 if multi_query else heads
    bias = table.flag("bias", default=False)
    norms = table.whole("num_ln_in_parallel_attn", default=2 if new else 1)
    parallel = table.flag("parallel_attn", default=True) or new
    if table.flag("alibi", default=False):
        table.refuse("alibi", tr_mark("is true; these Falcons add ALiBi before the scores are scaled."))
    table.skip("apply_residual_connection_post_layernorm", "n_head_kv", "num_kv_heads", "n_head")
    return {
        "model": {
            "width": width, "layers": table.whole("num_hidden_layers", "n_layer", default=32), "heads": heads,
            "context": sample_length(table, "max_position_embeddings", default=2048),
            "vocab": table.whole("vocab_size", default=65024), "bias": bias,
        },
        "techniques": {
            "position": rotary(table),
            "attention": "multi_head" if groups == heads else {"use": "grouped_query", "kv_heads": groups},
            "norm": {"use": "layer_norm", "epsilon": table.number("layer_norm_epsilon", default=1e-5)},
            "placement": {"use": "parallel", "norms": norms} if parallel else "pre_norm",
            "feedforward": plain_feedforward(table, table.word("activation", default="gelu"),
                                             table.whole("ffn_hidden_size", default=4 * width)),
            "head": head_of(table, tied=True),
        },
    }


def tensors(config: Config) -> Iterator[Taken]:
    """The fused layer goes group by group: the group's queries, its key, its value."""
    heads, bias = config.model.heads, config.model.bias
    grouped = config.use("attention") == "grouped_query"
    groups = int(config.techniques["attention"].options["kv_heads"]) if grouped else heads
    shared = heads // groups
    cuts = [("query", woven(0, shared, shared + 2, groups)), ("key", woven(shared, 1, shared + 2, groups)),
            ("value", woven(shared + 1, 1, shared + 2, groups))]
    two = config.techniques["placement"].options.get("norms") == 2
    names = ("ln_attn", "ln_mlp") if two else ("input_layernorm", "post_attention_layernorm")
    yield same("embedding.weight", "word_embeddings.weight")
    for i in range(config.model.layers):
        ours, theirs = f"blocks.{i}", f"h.{i}"
        yield from layer(f"{ours}.attention_norm", f"{theirs}.{names[0]}", True)
        yield from fused(f"{ours}.attention", f"{theirs}.self_attention.query_key_value", bias, cuts)
        yield from layer(f"{ours}.attention.output", f"{theirs}.self_attention.dense", bias)
        if two or config.use("placement") == "pre_norm":
            yield from layer(f"{ours}.feedforward_norm", f"{theirs}.{names[1]}", True)
        yield from layer(f"{ours}.feedforward.up", f"{theirs}.mlp.dense_h_to_4h", bias)
        yield from layer(f"{ours}.feedforward.down", f"{theirs}.mlp.dense_4h_to_h", bias)
    yield from layer("final_norm", "ln_f", True)
    yield from head_tensors(config, "lm_head.weight")


FAMILY = Family(types=("falcon",), title="Falcon", describe=describe, tensors=tensors, prefix="transformer.")
