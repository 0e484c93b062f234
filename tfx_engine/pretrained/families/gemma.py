"""Gemma (2024) 1 and 2, and 3 (2025): scaled embeddings, GEGLU, norms whose weights are kept as difference to 1."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tfx_engine.pretrained.decoder import FULL, PRE_NORMS, SLIDING, decoder_tensors, describe_decoder, window
from tfx_engine.pretrained.family import Description, Family
from tfx_engine.pretrained.rotation import rotary
from tfx_engine.pretrained.table import Table
from tfx_engine.pretrained.take import Taken
from tfx_engine.protocol.config import Config
from tfx_engine.protocol.marker import tr_mark

_FOUR_NORMS = {
    "attention_norm": "input_layernorm", "attention_output_norm": "post_attention_layernorm",
    "feedforward_norm": "pre_feedforward_layernorm", "feedforward_output_norm": "post_feedforward_layernorm",
}
_DEFAULTS: dict[str, dict[str, Any]] = {
    "gemma": {"width": 3072, "layers": 28, "heads": 16, "inner": 24576, "vocab": 256000, "length": 8192},
    "gemma2": {"width": 2304, "layers": 26, "heads": 8, "inner": 9216, "vocab": 256000, "length": 8192},
    "gemma3_text": {"width": 2304, "layers": 26, "heads": 8, "inner": 9216, "vocab": 262208, "length": 131072},
}


def describe(table: Table) -> Description:
    """The configuration."""
    kind = table.word("model_type", default="gemma")
    # Gemma 1 says "gelu" in old files and has always meant the approximation.
    table.skip("hidden_act", "hidden_activation")
    found = describe_decoder(table, head_width=256, tied=True, activation="gelu_pytorch_tanh", **_DEFAULTS[kind])
    techniques = found["techniques"]
    techniques["feedforward"]["approximate"] = "tanh"
    techniques["embedding"] = {"use": "token", "scale": True}
    techniques["norm"]["unit_offset"] = True
    if kind != "gemma":
        _later(table, found, kind)
    table.expect("use_bidirectional_attention", False, tr_mark("is {value}; here the mask is causal."))
    return found


def _later(table: Table, found: Description, kind: str) -> None:
    """What Gemma 2 and 3 add: four norms, windows, caps or normed queries and keys."""
    techniques, sizes = found["techniques"], found["model"]
    techniques["placement"] = "peri_norm"
    scalar = table.number("query_pre_attn_scalar", default=256)
    head_width = sizes.get("head_width") or sizes["width"] // sizes["heads"]
    if scalar != head_width:
        techniques["attention"]["scale"] = float(scalar) ** -0.5
    if cap := table.number("attn_logit_softcapping", default=50.0 if kind == "gemma2" else None):
        techniques["softcap"] = {"use": "tanh", "cap": cap}
    if cap := table.number("final_logit_softcapping", default=30.0 if kind == "gemma2" else None):
        techniques["head"]["softcap"] = cap
    size = table.whole("sliding_window", default=4096)
    every = table.whole("sliding_window_pattern", "_sliding_window_pattern", default=2 if kind == "gemma2" else 6)
    if "layer_types" in table:
        slot = window(table, sizes["layers"], size)
    else:
        slot = {"use": "sliding", "size": size} | ({"full_every": every} if every > 1 else {})
    if slot:
        techniques["window"] = slot
    if kind == "gemma3_text":
        techniques["qk_norm"] = {
            "use": "per_head", "epsilon": techniques["norm"]["epsilon"], "unit_offset": True,
        }
        techniques["position"] = _two_bases(table)


def _two_bases(table: Table) -> dict[str, Any]:
    """Gemma 3 rotates by one base in its windows and by another in its full layers."""
    today = table.table("rope_parameters")
    full, sliding = today.table(FULL), today.table(SLIDING)
    base = full.number("rope_theta", default=table.number("rope_theta", default=1e6))
    local = sliding.number("rope_theta", default=table.number("rope_local_base_freq", default=1e4))
    sliding.skip("rope_type")
    return rotary(table, given=full, base=base) | {"window_base": local}


def tensors(config: Config) -> Iterator[Taken]:
    """Four norms a block from Gemma 2 on."""
    peri = config.use("placement") == "peri_norm"
    norms = _FOUR_NORMS if peri else PRE_NORMS
    return decoder_tensors(config, norms=norms, qk_norm=config.use("qk_norm") != "none")


FAMILY = Family(
    types=("gemma", "gemma2", "gemma3_text"), title="Gemma", describe=describe, tensors=tensors, prefix="model.",
)
