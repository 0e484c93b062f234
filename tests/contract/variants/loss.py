"""Options of the slot `loss` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "chunked_cross_entropy": [
        {"rows": 1}, {"rows": 4}, {"rows": 4, "implementation": "recompute"}, {"implementation": "recompute"},
        {"rows": 5, "label_smoothing": 0.2}, {"rows": 5, "z_loss": 0.5},
    ],
    "cross_entropy": [{"label_smoothing": 0.2}, {"z_loss": 0.5}, {"label_smoothing": 0.1, "z_loss": 0.01}],
}
