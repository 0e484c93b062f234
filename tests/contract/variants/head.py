"""Options of the slot `head` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "classes": [{"pooling": "mean"}, {"bias": False}],  # the class token: see test_classification.py
    "multi_token": [{"tokens": 2}, {"tied": False}, {"shared": False}, {"weight": 0.3}, {"softcap": 2.0},
                    {"tied": False, "shared": False, "tokens": 3}],
    "tied": [{"softcap": 2.0}, {"bias": True}, {"transform": True}, {"multiplier": 0.3, "bias": True}],
    "untied": [{"softcap": 2.0}, {"bias": True, "softcap": 3.0}, {"transform": True}, {"multiplier": 0.3}],
}
