"""Options of the slot `optimizer` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "adamw": [
        {"weight_decay": 0.0, "beta1": 0.0}, {"epsilon": 0.1, "beta2": 0.5, "weight_decay": 0.5},
        {"implementation": "fused"}, {"implementation": "foreach"}, {"implementation": "loop"},
    ],
    "adamw_8bit": [
        {"smallest": 1, "block": 4}, {"smallest": 1, "block": 5, "implementation": "own", "weight_decay": 0.5},
        {"smallest": 15, "beta1": 0.5, "epsilon": 0.01},
    ],
    "adafactor": [
        {"weight_decay": 0.5, "learning_rate": 0.9}, {"decay_power": -0.3, "threshold": 1.4}, {"least_scale": 1.0},
    ],
    "lion": [{"weight_decay": 0.0, "beta1": 0.5}, {"beta2": 0.3, "learning_rate": 0.1}],
    "muon": [{"nesterov": False, "momentum": 0.5}, {"scale": "original", "weight_decay": 0.5, "learning_rate": 0.1}],
    "sgd": [{"momentum": 0.0}, {"nesterov": True, "weight_decay": 0.5}],
}
