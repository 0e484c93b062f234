"""Options of the slot `precision` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "float8": [{"recipe": "rowwise"}],
}
SIZES = {"float8": {"width": 32, "heads": 2, "head_width": 16}}
