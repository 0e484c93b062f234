"""GPT-2 (2019): learned positions, pre-norm, GELU by its tanh approximation, a tied head."""

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
from tfx_engine.pretrained.take import THIRDS, Taken, fused, layer, same, turned
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark


def describe(table: Table) -> Description:
    """The configuration."""
    no_dropout(table, "attn_pdrop", "resid_pdrop")
    table.expect("scale_attn_weights", True, tr_mark("is {value}; scores are always divided by the root of the width."))
    table.expect("scale_attn_by_inverse_layer_idx", False,
                 tr_mark("is {value}; scores are scaled alike in every layer."))
    table.expect("reorder_and_upcast_attn", False, tr_mark("is {value}; the softmax is exact, the products are not."))
    feedforward = plain_feedforward(table, table.word("activation_function", default="gelu_new"),
                                    table.whole("n_inner", default=None))
    return {
        "model": {
            "width": table.whole("n_embd", default=768), "layers": table.whole("n_layer", default=12),
            "heads": table.whole("n_head", default=12), "context": table.whole("n_positions", default=1024),
            "vocab": table.whole("vocab_size", default=50257),
        },
        "techniques": {
            "position": "learned",
            "norm": {"use": "layer_norm", "epsilon": table.number("layer_norm_epsilon", default=1e-5)},
            "placement": "pre_norm", "feedforward": feedforward,
            "embedding": {"use": "token", "dropout": table.number("embd_pdrop", default=0.1)},
            "head": head_of(table, tied=True),
        },
    }


def tensors(config: Config) -> Iterator[Taken]:
    """Their linear layers are stored [inputs, outputs]; query, key and value stand one after the other."""
    yield same("embedding.weight", "wte.weight")
    yield same("position.weight", "wpe.weight")
    for i in range(config.model.layers):
        ours, theirs = f"blocks.{i}", f"h.{i}"
        yield from layer(f"{ours}.attention_norm", f"{theirs}.ln_1", True)
        yield from fused(f"{ours}.attention", f"{theirs}.attn.c_attn", True, THIRDS, turned)
        yield from layer(f"{ours}.attention.output", f"{theirs}.attn.c_proj", True, turned)
        yield from layer(f"{ours}.feedforward_norm", f"{theirs}.ln_2", True)
        yield from layer(f"{ours}.feedforward.up", f"{theirs}.mlp.c_fc", True, turned)
        yield from layer(f"{ours}.feedforward.down", f"{theirs}.mlp.c_proj", True, turned)
    yield from layer("final_norm", "ln_f", True)
    yield from head_tensors(config, "lm_head.weight")


FAMILY = Family(
    types=("gpt2",), title="GPT-2", describe=describe, tensors=tensors, prefix="transformer.",
    silent=(".attn.bias", ".attn.masked_bias"),
)
