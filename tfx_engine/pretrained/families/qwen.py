"""Qwen 2 and 2.5 (2024): Llama's shape with biases on queries, keys and values. Qwen 3 (2025): with normed ones."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.pretrained.decoder import decoder_tensors, describe_decoder, window
from tfx_engine.pretrained.family import Description, Family
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Taken
from tfx_engine.protocol.config import Config


def describe(table: Table) -> Description:
    """The configuration."""
    third = table.word("model_type", default="qwen2") == "qwen3"
    found = describe_decoder(table, inner=22016, vocab=151936, length=32768, head_width=128 if third else None)
    techniques = found["techniques"]
    if third:
        techniques["qk_norm"] = {"use": "per_head", "epsilon": techniques["norm"]["epsilon"]}
    else:
        techniques["attention"] |= {"bias": True, "output_bias": False}
    table.skip("sliding_window", "max_window_layers", "layer_types")  # of no effect where no window is used
    if table.flag("use_sliding_window", default=False):
        size = table.whole("sliding_window", default=4096)
        if slot := window(table, found["model"]["layers"], size):
            techniques["window"] = slot
    return found


def tensors(config: Config) -> Iterator[Taken]:
    """Those of Llama, and the norms of queries and keys where there are any."""
    return decoder_tensors(config, qk_norm=config.use("qk_norm") != "none")


FAMILY = Family(
    types=("qwen2", "qwen3"), title="Qwen", describe=describe, tensors=tensors, prefix="model.",
)
