"""Options of the slot `mixer` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "lstm": [{"bias": False}, {"bias": True}],
    "gru": [{"bias": False}, {"bias": True}],
}
