"""Options of the slot `gate` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "per_head": [{"bias": True}, {"bias": False}], "per_element": [{"bias": True}, {"bias": False}],
}
