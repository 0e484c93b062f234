"""Options of the slot `feedforward` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "gelu": [{"approximate": "tanh"}, {"width": 5, "bias": False}, {"width": 1}],
}
