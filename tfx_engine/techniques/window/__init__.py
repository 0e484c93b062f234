"""Slot `window`: how far back attention looks, layer by layer."""

from __future__ import annotations

from typing import Protocol


class Window(Protocol):
    """Which layers see how much."""

    def size(self, layer: int) -> int | None:
        """Tokens that a query of that layer (from 0) sees, itself included; None for all of them."""
