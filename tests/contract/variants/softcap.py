"""Options of the slot `softcap` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {"tanh": [{"cap": 2.5}, {"cap": 1000.0}]}
