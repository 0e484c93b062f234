"""OPT (2022): learned positions that begin at row 2, ReLU."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.pretrained.family import (
    Description,
    Family,
    head_of,
    head_tensors,
    no_dropout,
    plain_feedforward,
)
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Taken, layer, same
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark

_FIRST_ROW = 2  # an accident of its first code, kept ever since


def describe(table: Table) -> Description:
    """The configuration."""
    no_dropout(table, "dropout", "attention_dropout", "layerdrop")
    table.skip("init_std", "activation_dropout")
    width = table.whole("hidden_size", default=768)
    if table.whole("word_embed_proj_dim", default=width) != width:
        table.refuse("word_embed_proj_dim", tr_mark("differs from the width; the table is as wide as the model here."))
    table.expect("do_layer_norm_before", True, tr_mark("is {value}; here the norm stands before each branch."))
    table.expect("_remove_final_layer_norm", False, tr_mark("is {value}; pre-norm has a final norm."))
    table.expect("layer_norm_elementwise_affine", True, tr_mark("is {value}; norms have weights here."))
    bias = table.flag("enable_bias", default=True)
    return {
        "model": {
            "width": width, "layers": table.whole("num_hidden_layers", default=12),
            "heads": table.whole("num_attention_heads", default=12),
            "context": table.whole("max_position_embeddings", default=2048),
            "vocab": table.whole("vocab_size", default=50272), "bias": bias,
        },
        "techniques": {
            "position": {"use": "learned", "first_row": _FIRST_ROW}, "attention": "multi_head", "norm": "layer_norm",
            "placement": "pre_norm",
            "feedforward": plain_feedforward(table, table.word("activation_function", default="relu"),
                                             table.whole("ffn_dim", default=3072)),
            "head": head_of(table, tied=True),
        },
    }


def tensors(config: Config) -> Iterator[Taken]:
    """Nothing is fused."""
    bias = config.model.bias
    yield same("embedding.weight", "embed_tokens.weight")
    yield same("position.weight", "embed_positions.weight")
    for i in range(config.model.layers):
        ours, theirs = f"blocks.{i}", f"layers.{i}"
        for name in ("query", "key", "value"):
            yield from layer(f"{ours}.attention.{name}", f"{theirs}.self_attn.{name[0]}_proj", bias)
        yield from layer(f"{ours}.attention.output", f"{theirs}.self_attn.out_proj", bias)
        yield from layer(f"{ours}.attention_norm", f"{theirs}.self_attn_layer_norm", True)
        yield from layer(f"{ours}.feedforward.up", f"{theirs}.fc1", bias)
        yield from layer(f"{ours}.feedforward.down", f"{theirs}.fc2", bias)
        yield from layer(f"{ours}.feedforward_norm", f"{theirs}.final_layer_norm", True)
    yield from layer("final_norm", "final_layer_norm", True)
    yield from head_tensors(config, "lm_head.weight")


FAMILY = Family(types=("opt",), title="OPT", describe=describe, tensors=tensors, prefix="model.decoder.")
