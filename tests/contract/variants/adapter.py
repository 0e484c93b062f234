"""Options of the slot `adapter` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "lora": [{"rank": 1}, {"rank": 9, "alpha": 1.0}, {"dropout": 0.5}, {"rank": 3, "rank_stabilised": True},
             {"b_rate": 16.0}, {"targets": ["query", "feedforward"]}],
}
