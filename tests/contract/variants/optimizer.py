"""Options of the slot `optimizer` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "adamw": [{"weight_decay": 0.0, "beta1": 0.0}, {"epsilon": 0.1, "beta2": 0.5, "weight_decay": 0.5}],
    "sgd": [{"momentum": 0.0}, {"nesterov": True, "weight_decay": 0.5}],
}
