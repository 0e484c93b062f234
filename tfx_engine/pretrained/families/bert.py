"""BERT (2018), RoBERTa (2019), DistilBERT (2019): every token sees every other, the norm after each residual sum.

What fills in a masked word has one more layer before the table: that is the head's transform. The pooler, and heads for
anything else, have no place here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfx_engine.pretrained.family import Description, Family, no_dropout, plain_feedforward
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Taken, layer, same
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark

_FIRST_ROW = 2  # of RoBERTa's table of positions: one after the row of the padding


def describe(table: Table) -> Description:
    """The configuration."""
    kind = table.word("model_type", default="bert")
    no_dropout(table, "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "attention_dropout")
    table.skip("classifier_dropout", "qa_dropout", "seq_classif_dropout")
    table.expect("position_embedding_type", "absolute", tr_mark("is {value}; here positions are learned and absolute."))
    table.expect("sinusoidal_pos_embds", False, tr_mark("is {value}; here positions are learned."))
    table.expect("is_decoder", False, tr_mark("is {value}; every token sees every other."))
    first, rows = _FIRST_ROW if kind == "roberta" else 0, table.whole("max_position_embeddings", default=512)
    types = 0 if kind == "distilbert" else table.count("type_vocab_size", default=2)
    table.lose("model_type", tr_mark("learned from masked words; that task is not here, and recall is in its place."))
    return {
        "data": {"task": "recall"},
        "model": {
            "width": table.whole("hidden_size", "dim", default=768),
            "layers": table.whole("num_hidden_layers", "n_layers", default=6 if kind == "distilbert" else 12),
            "heads": table.whole("num_attention_heads", "n_heads", default=12), "context": max(2, rows - first),
            "vocab": table.whole("vocab_size", default=50265 if kind == "roberta" else 30522),
        },
        "techniques": {
            "position": {"use": "learned"} | ({"first_row": first} if first else {}),
            "attention": "multi_head", "mask": "bidirectional",
            "norm": {"use": "layer_norm", "epsilon": table.number("layer_norm_eps", default=1e-12)},
            "placement": "post_norm",
            "feedforward": plain_feedforward(table, table.word("hidden_act", "activation", default="gelu"),
                                             table.whole("intermediate_size", "hidden_dim", default=3072)),
            "embedding": {"use": "token", "norm": True} | ({"types": types} if types else {}), "head": _head(table),
        },
    }


def _head(table: Table) -> dict[str, Any]:
    architectures = [str(name) for name in table.words("architectures")]
    masked = not architectures or any("MaskedLM" in name or "PreTraining" in name for name in architectures)
    if masked:
        return {"use": "tied", "bias": True, "transform": True}
    table.lose("architectures", tr_mark("is {name}; here the vectors go to the table of tokens."),
               name=", ".join(architectures))
    return {"use": "tied"}


def tensors(config: Config) -> Iterator[Taken]:
    """BERT's and RoBERTa's names."""
    yield same("embedding.weight", "embeddings.word_embeddings.weight")
    yield same("position.weight", "embeddings.position_embeddings.weight")
    if config.techniques["embedding"].options["types"]:
        yield same("embedding.type_weight", "embeddings.token_type_embeddings.weight")
    yield from layer("embedding_norm", "embeddings.LayerNorm", True)
    for i in range(config.model.layers):
        ours, theirs = f"blocks.{i}", f"encoder.layer.{i}"
        for name in ("query", "key", "value"):
            yield from layer(f"{ours}.attention.{name}", f"{theirs}.attention.self.{name}", True)
        yield from layer(f"{ours}.attention.output", f"{theirs}.attention.output.dense", True)
        yield from layer(f"{ours}.attention_norm", f"{theirs}.attention.output.LayerNorm", True)
        yield from layer(f"{ours}.feedforward.up", f"{theirs}.intermediate.dense", True)
        yield from layer(f"{ours}.feedforward.down", f"{theirs}.output.dense", True)
        yield from layer(f"{ours}.feedforward_norm", f"{theirs}.output.LayerNorm", True)
    if config.techniques["head"].options["transform"]:
        yield from layer("head.transform.dense", "cls.predictions.transform.dense", True)
        yield from layer("head.transform.norm", "cls.predictions.transform.LayerNorm", True)
        yield same("head.bias", "cls.predictions.bias")


FAMILY = Family(
    types=("bert",), title="BERT", describe=describe, tensors=tensors, prefix="bert.",
    silent=(".position_ids", "cls.predictions.decoder.weight", "cls.predictions.decoder.bias"),
)
