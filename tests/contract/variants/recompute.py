"""Options of the slot `recompute` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "every_block": [{"every": 2}],
    "selective": [
        {"keep": ("matmuls",)}, {"keep": ("attention",), "every": 2}, {"operators": "gelu, mm"},
        {"operators": "addmm.default,_scaled_dot_product_flash_attention_for_cpu"},
    ],
}
