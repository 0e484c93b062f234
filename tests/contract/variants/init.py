"""Options of the slot `init` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "gpt2_scaled": [{"deviation": 0.1}, {"scaled": False}],
    "xavier": [{"distribution": "uniform"}],
    "mup": [{"base_width": 3}, {"base_head_width": 4}],
}
