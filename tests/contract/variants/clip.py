"""Options of the slot `clip` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "norm": [{"maximum": 0.05}, {"maximum": 50.0}],
    "value": [{"maximum": 0.5}, {"maximum": 1000.0}],
}
