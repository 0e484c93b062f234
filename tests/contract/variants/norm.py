"""Options of the slot `norm` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "layer_norm": [{"epsilon": 0.1}, {"bias": False}],
    "rms_norm": [{"epsilon": 0.1}, {"unit_offset": True}, {"unit_offset": True, "epsilon": 0.05}],
    "dynamic_tanh": [{"alpha0": 2.0}],
}
