"""Options of the slot `schedule` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "constant": [{"warmup_steps": 3}],
    "cosine": [{"warmup_steps": 0}, {"warmup_steps": 3, "final": 0.5}, {"warmup_steps": 4}],
    "linear": [{"warmup_steps": 0}, {"warmup_steps": 3, "final": 0.5}, {"warmup_steps": 4}],
    "noam": [{"warmup_steps": 1}, {"warmup_steps": 4}],
    "wsd": [
        {"warmup_steps": 0, "cooldown": 0.5, "shape": "linear"}, {"warmup_steps": 3, "shape": "cosine", "final": 0.3},
        {"warmup_steps": 4, "cooldown": 1.0}, {"cooldown": 0.0},
    ],
}
