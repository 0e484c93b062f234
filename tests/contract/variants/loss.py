"""Options of the slot `loss` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "cross_entropy": [{"label_smoothing": 0.2}, {"z_loss": 0.5}, {"label_smoothing": 0.1, "z_loss": 0.01}],
}
