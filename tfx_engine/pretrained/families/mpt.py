"""MPT (2023): ALiBi, no biases at all, not even in the norms."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.pretrained.family import Description, Family, head_of, head_tensors, no_dropout, sample_length
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import THIRDS, Taken, fused, layer, same
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark


def describe(table: Table) -> Description:
    """The configuration."""
    no_dropout(table, "resid_pdrop")
    width, heads = table.whole("d_model", default=2048), table.whole("n_heads", default=16)
    inner = table.table("attn_config")
    inner.skip("attn_impl", "attn_type", "attn_uses_sequence_id", "alibi_bias_max")
    no_dropout(inner, "attn_pdrop")
    inner.expect("clip_qkv", None, tr_mark("is {value}; queries, keys and values are not clipped here."))
    inner.expect("qk_ln", False, tr_mark("is {value}; queries and keys are not normed."))
    inner.expect("prefix_lm", False, tr_mark("is {value}; the mask is causal."))
    inner.expect("alibi", True, tr_mark("is {value}; positions are ALiBi's."))
    inner.expect("softmax_scale", None, tr_mark("is {value}; scores are divided by the root of the head width."))
    table.expect("no_bias", True, tr_mark("is {value}; there are no biases."))
    table.expect("logit_scale", None, tr_mark("is {value}; logits are not scaled."))
    table.skip("norm_type", "learned_pos_emb", "init_device", "verbose", "embedding_fraction", "init_config")
    return {
        "model": {
            "width": width, "layers": table.whole("n_layers", default=24), "heads": heads,
            "context": sample_length(table, "max_seq_len", default=2048),
            "vocab": table.whole("vocab_size", default=50368), "bias": False,
        },
        "techniques": {
            "position": {"use": "alibi", "exponent": float(inner.number("alibi_bias_max", default=8))},
            "attention": "multi_head",
            "norm": {"use": "layer_norm", "bias": False, "epsilon": table.number("layer_norm_epsilon", default=1e-5)},
            "placement": "pre_norm",
            "feedforward": {"use": "gelu", "width": width * table.whole("expansion_ratio", default=4)},
            "embedding": {"use": "token", "dropout": table.number("emb_pdrop", default=0.0)},
            "head": head_of(table, tied=True),
        },
    }


def tensors(config: Config) -> Iterator[Taken]:
    """Query, key and value stand one after the other."""
    yield same("embedding.weight", "wte.weight")
    for i in range(config.model.layers):
        ours, theirs = f"blocks.{i}", f"blocks.{i}"
        yield from layer(f"{ours}.attention_norm", f"{theirs}.norm_1", False)
        yield from fused(f"{ours}.attention", f"{theirs}.attn.Wqkv", False, THIRDS)
        yield from layer(f"{ours}.attention.output", f"{theirs}.attn.out_proj", False)
        yield from layer(f"{ours}.feedforward_norm", f"{theirs}.norm_2", False)
        yield from layer(f"{ours}.feedforward.up", f"{theirs}.ffn.up_proj", False)
        yield from layer(f"{ours}.feedforward.down", f"{theirs}.ffn.down_proj", False)
    yield from layer("final_norm", "norm_f", False)
    yield from head_tensors(config, "lm_head.weight")


FAMILY = Family(types=("mpt",), title="MPT", describe=describe, tensors=tensors, prefix="transformer.")
