"""Command R (2024): both branches side by side behind one norm without bias, neighbours rotated, logits scaled."""

from __future__ import annotations

from collections.abc import Iterator

from tfx_engine.pretrained.decoder import decoder_tensors, describe_decoder
from tfx_engine.pretrained.family import Description, Family
from tfx_engine.pretrained.rotation import rotary
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Taken
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark


def describe(table: Table) -> Description:
    """The configuration."""
    found = describe_decoder(table, width=8192, layers=40, heads=64, inner=22528, vocab=256000, length=8192, tied=True)
    techniques = found["techniques"]
    table.expect("use_qk_norm", False, tr_mark("is {value}; queries and keys are not normed."))
    techniques |= {
        "position": rotary(table, base=500_000.0, layout="interleaved"),
        "norm": {"use": "layer_norm", "bias": False, "epsilon": table.number("layer_norm_eps", default=1e-5)},
        "placement": {"use": "parallel", "norms": 1},
    }
    techniques["head"]["multiplier"] = table.number("logit_scale", default=0.0625)
    return found


def tensors(config: Config) -> Iterator[Taken]:
    """Llama's with one norm a block."""
    return decoder_tensors(config, norms={"attention_norm": "input_layernorm"})


FAMILY = Family(types=("cohere",), title="Command R", describe=describe, tensors=tensors, prefix="model.")
