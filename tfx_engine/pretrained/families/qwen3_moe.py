"""Qwen 3 with a mixture of experts (2025)."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.pretrained.decoder import decoder_tensors, describe_decoder
from tfx_engine.pretrained.family import Description, Family
from tfx_engine.pretrained.mixture import mixture, mixture_tensors
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Taken
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark


def describe(table: Table) -> Description:
    """The configuration."""
    found = describe_decoder(table, width=2048, layers=24, inner=6144, vocab=151936, length=32768)
    techniques = found["techniques"]
    techniques["qk_norm"] = {"use": "per_head", "epsilon": techniques["norm"]["epsilon"]}
    inner = table.whole("moe_intermediate_size", default=768)
    techniques["feedforward"] = mixture(table, inner, experts=128, top_k=8, normalise=False)
    table.expect("decoder_sparse_step", 1, tr_mark("is {value}; here every layer has its experts."))
    table.expect("mlp_only_layers", [], tr_mark("is {value}; here every layer has its experts."))
    table.expect("use_sliding_window", False, tr_mark("is {value}; here every layer sees everything."))
    table.skip("sliding_window", "max_window_layers", "intermediate_size")
    return found


def tensors(config: Config) -> Iterator[Taken]:
    """Qwen 3's, and the experts."""
    yield from decoder_tensors(config, qk_norm=True, feedforward=False)
    for i in range(config.model.layers):
        theirs = f"layers.{i}.mlp"
        yield from mixture_tensors(config, f"blocks.{i}.feedforward", theirs, f"{theirs}.gate")


FAMILY = Family(types=("qwen3_moe",), title="Qwen MoE", describe=describe, tensors=tensors, prefix="model.")
