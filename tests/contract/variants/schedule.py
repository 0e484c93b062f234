"""Options of the slot `schedule` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "cosine": [{"warmup_steps": 0}, {"warmup_steps": 3, "final": 0.5}, {"warmup_steps": 4}],
}
