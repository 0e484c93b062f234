"""DistilBERT (2019): BERT with half the layers and without token types."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.pretrained.families import bert
from tfx_engine.pretrained.family import Family
from tfx_engine.pretrained.take import Taken, layer, same
from tfx_engine.protocol.config import Config


def tensors(config: Config) -> Iterator[Taken]:
    """Names of its own."""
    yield same("embedding.weight", "embeddings.word_embeddings.weight")
    yield same("position.weight", "embeddings.position_embeddings.weight")
    yield from layer("embedding_norm", "embeddings.LayerNorm", True)
    for i in range(config.model.layers):
        ours, theirs = f"blocks.{i}", f"transformer.layer.{i}"
        for name in ("query", "key", "value"):
            yield from layer(f"{ours}.attention.{name}", f"{theirs}.attention.{name[0]}_lin", True)
        yield from layer(f"{ours}.attention.output", f"{theirs}.attention.out_lin", True)
        yield from layer(f"{ours}.attention_norm", f"{theirs}.sa_layer_norm", True)
        yield from layer(f"{ours}.feedforward.up", f"{theirs}.ffn.lin1", True)
        yield from layer(f"{ours}.feedforward.down", f"{theirs}.ffn.lin2", True)
        yield from layer(f"{ours}.feedforward_norm", f"{theirs}.output_layer_norm", True)
    if config.techniques["head"].options["transform"]:
        yield from layer("head.transform.dense", "vocab_transform", True)
        yield from layer("head.transform.norm", "vocab_layer_norm", True)
        yield same("head.bias", "vocab_projector.bias")


FAMILY = Family(
    types=("distilbert",), title="DistilBERT", describe=bert.describe, tensors=tensors, prefix="distilbert.",
    silent=("vocab_projector.weight",),
)
