"""BLOOM (2022): ALiBi, and a norm after the embedding."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.pretrained.family import LONGEST, Description, Family, head_of, head_tensors, no_dropout
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import QUERY_KEY_VALUE, Taken, fused, layer, same, woven
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark


def describe(table: Table) -> Description:
    """The configuration."""
    no_dropout(table, "attention_dropout", "hidden_dropout")
    table.skip("offset_alibi", "seq_length", "slow_but_exact", "attention_softmax_in_fp32", "bias_dropout_fusion",
               "masked_softmax_fusion", "n_inner", "num_attention_heads", "n_embed")
    table.expect("apply_residual_connection_post_layernorm", False,
                 tr_mark("is {value}; here the residual path passes by the norm."))
    epsilon = table.number("layer_norm_epsilon", default=1e-5)
    return {
        "model": {
            "width": table.whole("hidden_size", "n_embed", default=64), "layers": table.whole("n_layer", default=2),
            "heads": table.whole("n_head", "num_attention_heads", default=8), "context": LONGEST,
            "vocab": table.whole("vocab_size", default=250880),
        },
        "techniques": {
            "position": "alibi", "attention": "multi_head", "norm": {"use": "layer_norm", "epsilon": epsilon},
            "placement": "pre_norm", "feedforward": {"use": "gelu", "approximate": "tanh"},
            "embedding": {"use": "token", "norm": True}, "head": head_of(table, tied=True),
        },
    }


def tensors(config: Config) -> Iterator[Taken]:
    """The rows of the fused layer go head by head: a head's query, its key, its value."""
    cuts = [(name, woven(i, 1, 3, config.model.heads)) for i, name in enumerate(QUERY_KEY_VALUE)]
    yield same("embedding.weight", "word_embeddings.weight")
    yield from layer("embedding_norm", "word_embeddings_layernorm", True)
    for i in range(config.model.layers):
        ours, theirs = f"blocks.{i}", f"h.{i}"
        yield from layer(f"{ours}.attention_norm", f"{theirs}.input_layernorm", True)
        yield from fused(f"{ours}.attention", f"{theirs}.self_attention.query_key_value", True, cuts)
        yield from layer(f"{ours}.attention.output", f"{theirs}.self_attention.dense", True)
        yield from layer(f"{ours}.feedforward_norm", f"{theirs}.post_attention_layernorm", True)
        yield from layer(f"{ours}.feedforward.up", f"{theirs}.mlp.dense_h_to_4h", True)
        yield from layer(f"{ours}.feedforward.down", f"{theirs}.mlp.dense_4h_to_h", True)
    yield from layer("final_norm", "ln_f", True)
    yield from head_tensors(config, "lm_head.weight")


FAMILY = Family(types=("bloom",), title="BLOOM", describe=describe, tensors=tensors, prefix="transformer.")
