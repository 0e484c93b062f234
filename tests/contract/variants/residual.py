"""Options of the slot `residual` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "layer_scale": [{"initial": 1.5}],
    "stochastic_depth": [{"rate": 0.0}, {"rate": 0.9}],
    "hyper_connections": [{"streams": 1}, {"streams": 3, "dynamic": False}, {"streams": 2}],
}
