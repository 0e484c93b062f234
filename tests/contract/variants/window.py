"""Options of the slot `window` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "sliding": [{"size": 1}, {"size": 3, "full_every": 2}, {"size": 100}, {"size": 2, "full_every": 3}],
}
