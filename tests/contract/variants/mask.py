"""Options of the slot `mask` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {"prefix": [{"length": 1}, {"length": 5}]}
