"""ViT (2020) and DeiT (2020): patches of an image behind a class token, pre-norm, every patch sees every other."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.pretrained.family import Description, Family, no_dropout, plain_feedforward
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Taken, first, flat, layer, same, whole
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark


def describe(table: Table) -> Description:
    """The configuration. An image has no place here: its patches come as frames of numbers, colour by colour."""
    no_dropout(table, "hidden_dropout_prob", "attention_probs_dropout_prob")
    table.skip("encoder_stride", "pooler_act", "pooler_output_size")
    side, patch = table.whole("image_size", default=224), table.whole("patch_size", default=16)
    colours = table.whole("num_channels", default=3)
    bias = table.flag("qkv_bias", default=True)
    if side < patch:
        table.refuse("patch_size", tr_mark("is larger than the image."))
    labels = table.names("id2label")
    classes = table.whole("num_labels", default=len(labels) or 1000)
    attention = {"use": "multi_head"} if bias else {"use": "multi_head", "bias": False, "output_bias": True}
    return {
        "data": {
            "task": "noise", "frames": max(1, (side // patch) ** 2), "features": colours * patch**2,
            "classes": max(2, classes),
        },
        "model": {
            "width": table.whole("hidden_size", default=768), "layers": table.whole("num_hidden_layers", default=12),
            "heads": table.whole("num_attention_heads", default=12),
        },
        "techniques": {
            "position": "learned", "attention": attention, "mask": "bidirectional",
            "norm": {"use": "layer_norm", "epsilon": table.number("layer_norm_eps", default=1e-12)},
            "placement": "pre_norm",
            "feedforward": plain_feedforward(table, table.word("hidden_act", default="gelu"),
                                             table.whole("intermediate_size", default=3072)),
            "embedding": {"use": "frames", "class_token": True}, "head": {"use": "classes", "pooling": "class_token"},
        },
    }


def tensors(config: Config) -> Iterator[Taken]:
    """A convolution whose steps are as wide as its window is a linear layer."""
    bias = config.techniques["attention"].options["bias"] is not False
    yield same("embedding.weight", "embeddings.patch_embeddings.projection.weight", flat)
    yield same("embedding.bias", "embeddings.patch_embeddings.projection.bias")
    yield same("embedding.class_token", "embeddings.cls_token", whole)
    yield same("position.weight", "embeddings.position_embeddings", first)
    for i in range(config.model.layers):
        ours, theirs = f"blocks.{i}", f"encoder.layer.{i}"
        yield from layer(f"{ours}.attention_norm", f"{theirs}.layernorm_before", True)
        for name in ("query", "key", "value"):
            yield from layer(f"{ours}.attention.{name}", f"{theirs}.attention.attention.{name}", bias)
        yield from layer(f"{ours}.attention.output", f"{theirs}.attention.output.dense", True)
        yield from layer(f"{ours}.feedforward_norm", f"{theirs}.layernorm_after", True)
        yield from layer(f"{ours}.feedforward.up", f"{theirs}.intermediate.dense", True)
        yield from layer(f"{ours}.feedforward.down", f"{theirs}.output.dense", True)
    yield from layer("final_norm", "layernorm", True)
    yield from layer("head", "classifier", True)


FAMILY = Family(types=("vit", "deit"), title="ViT", describe=describe, tensors=tensors, prefix="vit.")
