"""Options of the slot `accumulation` that are tried besides the defaults, by technique."""

from __future__ import annotations

from typing import Any

VARIANTS: dict[str, list[dict[str, Any]]] = {
    "micro_batches": [{"pieces": 1}, {"pieces": 3}],
}
