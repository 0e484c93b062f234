"""Options of the slot `feedforward` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

_PLAIN: list[dict[str, Any]] = [{"width": 5, "bias": False}, {"width": 1}]
_GATED: list[dict[str, Any]] = [*_PLAIN, {"multiple": 1, "bias": True}, {"multiple": 5}]

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "gelu": [{"approximate": "tanh"}, *_PLAIN],
    "relu": _PLAIN,
    "relu_squared": _PLAIN,
    "swiglu": _GATED,
    "geglu": [{"approximate": "tanh"}, *_GATED],
    "mixture_of_experts": [
        {"experts": 3, "top_k": 1}, {"experts": 3, "top_k": 3, "gated": False}, {"shared": 2, "width": 5},
        {"experts": 40, "bias": False}, {"normalise": False, "balance_loss": 0.0}, {"gated": False, "shared": 1},
        {"balance_rate": 0.1, "z_loss": 0.0}, {"experts": 1, "top_k": 1, "normalise": False},
    ],
}
