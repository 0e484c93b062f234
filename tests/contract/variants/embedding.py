"""Options of the slot `embedding` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "frames": [{"class_token": True}, {"bias": False}, {"norm": True}, {"dropout": 0.5}],
    "token": [{"scale": True}, {"scale": False}, {"dropout": 0.5}, {"norm": True}, {"types": 2}],
}
