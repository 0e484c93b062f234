"""Options of the slot `qk_norm` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "per_head": [{"unit_offset": True}, {"epsilon": 0.5}], "full": [{"epsilon": 0.5}], "l2": [{"scale": 3.0}],
}
