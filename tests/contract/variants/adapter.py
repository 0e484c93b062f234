"""Options of the slot `adapter` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "lora": [{"rank": 1}, {"rank": 9, "alpha": 1.0}, {"dropout": 0.5}, {"rank": 3, "rank_stabilised": True},
             {"b_rate": 16.0}, {"targets": ["query", "feedforward"]}],
    "dora": [{"rank": 3, "rank_stabilised": True}, {"targets": ["value", "output"], "alpha": 1.0}],
    "qlora": [{"rank": 3, "rank_stabilised": True}, {"targets": ["feedforward"], "alpha": 1.0}],
    "ia3": [{"targets": ["query", "key", "value", "output", "feedforward"]}, {"targets": ["feedforward"]}],
    "prefix": [{"tokens": 1}, {"tokens": 3}],
    "freeze": [{"count": 1}, {"blocks": "first", "count": 1}, {"blocks": "all", "train": ["biases"]},
               {"train": ["head"]}, {"train": ["embedding", "norms"], "count": 1},
               {"train": ["feedforward", "residual"], "blocks": "all"}],
}
