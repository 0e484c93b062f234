"""Options of the slot `attention` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "multi_head": [{"bias": True}, {"bias": False}, {"bias": True, "output_bias": False}, {"scale": 0.9}],
    "grouped_query": [
        {"kv_heads": 1}, {"kv_heads": 2}, {"kv_heads": 4, "bias": True, "output_bias": False}, {"scale": 0.9},
    ],
    "latent": [
        {"latent_width": 3, "rope_width": 4, "value_width": 2, "bias": True}, {"query_latent": 6, "scale": 0.7},
        {"query_latent": 4, "bias": False},
    ],
    "differential": [{"bias": False}, {"bias": False, "output_bias": True}],
}
SIZES: dict[str, dict[str, Any]] = {"grouped_query": {"heads": 4}, "differential": {"heads": 4}}
