"""Options of the slot `placement` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "parallel": [{"norms": 2}],
    "deep_norm": [{"alpha": 1.5, "beta": 0.5}],
}
